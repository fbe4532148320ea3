"""One run of a scaling experiment, and the CSV file with a row for each run."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from typing import Optional

# Labels of the servers' seconds, in the order of tables and plots. `outside` is the time before and after the servers: the
# start of mpirun, the check of the shards, the writing of the catalogue.
PARTS = ("busy", "idle_rendering", "idle_no_pages", "starting", "down", "draining", "outside")


# Columns that had another name in the files of earlier programs. Their order is the same.
EARLIER_NAMES = {
    "idle_rendering": "starved_by_rendering",
    "idle_no_pages": "starved_by_coordinator",
    "other_main_threads": "other_pumps",
}


def label(part: str) -> str:
    """The label that reports show for a part."""
    return {"idle_rendering": "idle: rendering", "idle_no_pages": "idle: no pages"}.get(part, part)


@dataclasses.dataclass
class Row:
    """The settings and times of one run, in seconds. A value that was not measured is `None`, an empty field."""

    mode: str
    ranks: int
    repeat: int
    pages: int
    servers: int
    # From the start of scripts/launch to its end.
    seconds: float
    # From the start of scripts/launch until rank 0 could deal the first page: the plan is made and a server is ready.
    start_seconds: float
    # From the start of scripts/launch to the verdict on the first page.
    first_page_seconds: float
    # From the moment at which rank 0 could deal the first page to the last verdict.
    reading_seconds: float
    # From the last verdict to the end of scripts/launch.
    end_seconds: float
    # Seconds of the servers by label. Their sum is servers * seconds.
    busy: float
    idle_rendering: float
    idle_no_pages: float
    starting: float
    down: float
    draining: float
    outside: float
    # Sealing of journals, over all ranks. It is part of `draining`, except for shards that were sealed earlier.
    sealing: float
    # CPU seconds of all processes of the run on this host; shares of this host's cores that these processes used, and that all
    # processes of the host used.
    cpu_seconds: float
    cpu_share: float
    host_busy: float
    # Shares of one core while pages were read, for ranks on this host: the main thread of rank 0, which runs the coordinator
    # and its own worker; the mean of the main threads of the other ranks, which run a worker only; all threads of rank 0.
    coordinator: Optional[float]
    other_main_threads: Optional[float]
    rank_zero: Optional[float]

    @property
    def rate(self) -> float:
        """Pages a second while pages were read."""
        return self.pages / self.reading_seconds

    @property
    def whole_rate(self) -> float:
        """Pages a second from the start of the launcher to its end."""
        return self.pages / self.seconds


FIELDS = [field.name for field in dataclasses.fields(Row)]


def read(path: pathlib.Path) -> list[Row]:
    """The rows of a file, in order. No rows if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(**{name: _value(name, _cell(line, name)) for name in FIELDS}) for line in csv.DictReader(file)]


def append(path: pathlib.Path, row: Row) -> None:
    """Appends a row. A new file gets a header first."""
    head = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if head:
            writer.writerow(FIELDS)
        writer.writerow(_text(getattr(row, name)) for name in FIELDS)


def _cell(line: dict[str, str], name: str) -> str:
    return line[name] if name in line else line[EARLIER_NAMES[name]]


def _value(name: str, text: str):
    if name == "mode":
        return text
    if name in ("ranks", "repeat", "pages", "servers"):
        return int(text)
    return float(text) if text else None


def _text(value) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
