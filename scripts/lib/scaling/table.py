"""The Markdown page of an experiment."""

from __future__ import annotations

from typing import Optional

from .row import PARTS, Row, label
from .speedup import Point, Spread, points

MODES = ("weak", "strong")

NOTES = """Seconds of reading go from the moment at which rank 0 could deal the first page (the plan is made, a server is ready) to
the last verdict. The rate is pages divided by seconds of reading. The speed-up of p ranks is p0 rate(p) / rate(p0); p0 is the
fewest ranks of the table. The efficiency is the speed-up divided by p. Values are medians of the repeats, with the extremes in
brackets. *Whole run* is the efficiency from the start of `scripts/launch` to its end. Serial fraction (Karp and Flatt):
e = (1/S - 1/p) / (1 - 1/p)."""

NOTES_ON_SECONDS = """The second table shows where the seconds of the servers went in the whole run, with one server for each rank and
engine. *busy*: the share of the limit that is in flight. *idle: rendering*: the rank had pages, but not their images yet.
*idle: no pages*: the rank had no pages, also at the end of a run. *starting*, *down*. *draining*: the run ends, with sealing.
*outside*: the start of mpirun, and the end after the servers have stopped."""

NOTES_ON_PROCESSOR = """The third table shows shares of one core while pages were read. The *main thread of rank 0* runs the coordinator
and the worker of rank 0. The *main threads of the other ranks* run a worker only. For all cores of this host in the whole run,
it shows *all processes of the run* on this host, with stand-ins, and *all processes of the host*, which includes other work on
the host. Ranks on other hosts are not included."""


def page(rows: list[Row], head: str) -> str:
    """The page. `head` describes the experiment."""
    sections = [head, NOTES, NOTES_ON_SECONDS, NOTES_ON_PROCESSOR]
    for mode in MODES:
        found = points(rows, mode)
        if found:
            sections += [f"## {mode.capitalize()} scaling", _speed(found), _seconds(found), _processor(found)]
    return "\n\n".join(sections) + "\n"


def _speed(found: list[Point]) -> str:
    head = ("ranks", "repeats", "pages", "reading, s", "pages/s", "speed-up", "efficiency", "whole run", "serial fraction",
            "start, s", "first page, s", "end, s")  # fmt: skip
    lines = [
        (
            str(point.ranks),
            str(point.repeats),
            f"{point.pages:.0f}",
            _number(point.median("reading_seconds"), 1),
            _number(point.median("rate"), 2),
            _spread(point.speed_up, 2),
            _spread(point.efficiency, 3),
            _spread(point.whole_efficiency, 3),
            _number(point.serial_fraction, 4),
            _number(point.median("start_seconds"), 2),
            _number(point.median("first_page_seconds"), 2),
            _number(point.median("end_seconds"), 2),
        )
        for point in found
    ]
    return _table(head, lines)


def _seconds(found: list[Point]) -> str:
    head = ("ranks", *(label(part) for part in PARTS), "sealing, s")
    lines = [
        (
            str(point.ranks),
            *(f"{100 * point.parts[part]:.1f} %" for part in PARTS),
            _number(point.median("sealing"), 2),
        )
        for point in found
    ]
    return _table(head, lines)


def _processor(found: list[Point]) -> str:
    head = ("ranks", "main thread of rank 0", "of the other ranks", "all of rank 0", "CPU s of the run", "all processes of the run",
            "all processes of the host")  # fmt: skip
    lines = [
        (
            str(point.ranks),
            *(_percent(point.median(name)) for name in ("coordinator", "other_main_threads", "rank_zero")),
            _number(point.median("cpu_seconds"), 1),
            *(_percent(point.median(name)) for name in ("cpu_share", "host_busy")),
        )
        for point in found
    ]
    return _table(head, lines)


def _table(head: tuple, lines: list[tuple]) -> str:
    rows = [head, ("---",) * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spread(spread: Spread, places: int) -> str:
    if spread.least == spread.most:
        return f"{spread.median:.{places}f}"
    return f"{spread.median:.{places}f} ({spread.least:.{places}f} to {spread.most:.{places}f})"


def _number(value: Optional[float], places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _percent(value: Optional[float]) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
