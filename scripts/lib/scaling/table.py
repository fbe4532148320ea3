"""The Markdown page of an experiment."""

from __future__ import annotations

from typing import Optional

from .row import PARTS, Row
from .speedup import Point, Spread, points

MODES = ("weak", "strong")

NOTES = """Seconds of reading go from the moment at which the first page could be dealt (the plan is made, a server is ready) to the
last verdict. Rate is pages by seconds of reading; the speed-up of p ranks is p0 rate(p) / rate(p0), p0 being the fewest ranks
of the table; efficiency is speed-up by p. Medians of the repeats, in brackets their extremes. *Whole run*: the same
from the start of `scripts/launch` to its end. Serial fraction (Karp and Flatt): e = (1/S - 1/p) / (1 - 1/p)."""

NOTES_ON_SECONDS = """Second table: where the seconds of the servers went in the whole run, one server a rank and engine. *Busy*, by the share of
its limit that is in flight; *starved by rendering* (idle: rendering), the rank had pages, but not their images;
*starved by coordinator* (idle: no pages), it had no pages, at the end of a run too; *starting*; *down*; *draining*, the run ends, sealing included; *outside*,
mpirun's start, and the end after the servers are gone."""

NOTES_ON_PROCESSOR = """Third table, shares of one core while pages were read: the *main thread of rank 0* is the coordinator, and pump of its own
worker as are the *main threads of the other ranks*. Of all cores of this host in the whole run: *all processes of the run*
here, stand-ins included, and *everybody*, which shows where somebody else was at work. Ranks on other hosts are not in it."""


def page(rows: list[Row], head: str) -> str:
    """The page; `head` says what was run."""
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
    head = ("ranks", *(part.replace("_by_", " by ").replace("coordinator", "the coordinator") for part in PARTS), "sealing, s")
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
            "everybody")  # fmt: skip
    lines = [
        (
            str(point.ranks),
            *(_percent(point.median(name)) for name in ("coordinator", "other_pumps", "rank_zero")),
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
