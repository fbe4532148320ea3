"""A run of a scaling experiment, and the CSV file with a row for each."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from typing import Optional

# Where the seconds of the servers went, in the order in which they are shown; `outside` is what no server accounts for:
# mpirun starting, shards checked, the catalogue written.
PARTS = ("busy", "starved_by_rendering", "starved_by_coordinator", "starting", "down", "draining", "outside")


@dataclasses.dataclass
class Row:
    """What one run was and took. Times are seconds; what could not be measured is `None`, an empty field."""

    mode: str
    ranks: int
    repeat: int
    pages: int
    servers: int
    # From the start of scripts/launch to its end.
    seconds: float
    # From there to the moment at which the first page could be dealt: the plan is made and a server is ready.
    start_seconds: float
    # From the start of scripts/launch to the verdict on the first page.
    first_page_seconds: float
    # From the first page that could be dealt to the last verdict.
    reading_seconds: float
    # From the last verdict to the end of scripts/launch.
    end_seconds: float
    # Seconds of the servers by what became of them; together servers * seconds.
    busy: float
    starved_by_rendering: float
    starved_by_coordinator: float
    starting: float
    down: float
    draining: float
    outside: float
    # Sealing of journals, over all ranks; within `draining` but for shards sealed on the way.
    sealing: float
    # Of all processes on this host, and shares of this host's cores: by them, and by everybody.
    cpu_seconds: float
    cpu_share: float
    host_busy: float
    # Shares of one core while pages were read, for ranks on this host: rank 0's main thread, which is coordinator and pump of
    # its own worker; the main threads of the other ranks, on the mean, which are pumps only; all of rank 0.
    coordinator: Optional[float]
    other_pumps: Optional[float]
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
    """The rows of a file, in order; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(**{name: _value(name, line[name]) for name in FIELDS}) for line in csv.DictReader(file)]


def append(path: pathlib.Path, row: Row) -> None:
    """Adds a row, and the head to a new file."""
    head = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if head:
            writer.writerow(FIELDS)
        writer.writerow(_text(getattr(row, name)) for name in FIELDS)


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
