"""Speed-up, efficiency and serial fraction, from the rows of runs. Pure.

The rate of a run is its pages divided by the seconds of reading: from the moment at which rank 0 could deal the first page
to the last verdict. The speed-up of p ranks is p0 * rate(p) / rate(p0). Here p0 is the fewest ranks of the same mode, and
rate(p0) is the median of its repeats. The efficiency is the speed-up divided by p. In weak scaling, where pages grow with
the ranks, this is the scaled speed-up.
"""

from __future__ import annotations

import dataclasses
import statistics
from typing import Callable, Optional

from .row import PARTS, Row


@dataclasses.dataclass
class Spread:
    """The median of the repeats, and their extremes."""

    median: float
    least: float
    most: float


@dataclasses.dataclass
class Point:
    """The results of the repeats with one number of ranks."""

    ranks: int
    repeats: int
    pages: float
    speed_up: Spread
    efficiency: Spread
    # Of the whole run, from the start of the launcher to its end.
    whole_efficiency: Spread
    # `None` for one rank: it is not defined there.
    serial_fraction: Optional[float]
    # Shares of the servers' seconds, by part; together 1.
    parts: dict[str, float]
    rows: list[Row]

    def median(self, name: str) -> Optional[float]:
        """The median of a field of the rows; `None` where no row has it."""
        values = [value for row in self.rows if (value := getattr(row, name)) is not None]
        return statistics.median(values) if values else None


def serial_fraction(speed_up: float, ranks: int) -> Optional[float]:
    """The serial fraction that follows from a speed-up (Karp and Flatt 1990): (1/S - 1/p) / (1 - 1/p)."""
    if ranks == 1:
        return None
    return (1 / speed_up - 1 / ranks) / (1 - 1 / ranks)


def points(rows: list[Row], mode: str) -> list[Point]:
    """The points of a mode, by number of ranks. No points if the mode has no rows."""
    by_ranks: dict[int, list[Row]] = {}
    for row in rows:
        if row.mode == mode:
            by_ranks.setdefault(row.ranks, []).append(row)
    if not by_ranks:
        return []
    fewest = min(by_ranks)
    base = statistics.median(row.rate for row in by_ranks[fewest]) / fewest
    whole_base = statistics.median(row.whole_rate for row in by_ranks[fewest]) / fewest
    return [_point(ranks, by_ranks[ranks], base, whole_base) for ranks in sorted(by_ranks)]


def _point(ranks: int, rows: list[Row], base: float, whole_base: float) -> Point:
    speed_up = _spread(rows, lambda row: row.rate / base)
    total = sum(row.servers * row.seconds for row in rows)
    return Point(
        ranks=ranks,
        repeats=len(rows),
        pages=statistics.median(row.pages for row in rows),
        speed_up=speed_up,
        efficiency=_spread(rows, lambda row: row.rate / base / ranks),
        whole_efficiency=_spread(rows, lambda row: row.whole_rate / whole_base / ranks),
        serial_fraction=serial_fraction(speed_up.median, ranks),
        parts={part: sum(getattr(row, part) for row in rows) / total for part in PARTS},
        rows=rows,
    )


def _spread(rows: list[Row], value: Callable[[Row], float]) -> Spread:
    values = [value(row) for row in rows]
    return Spread(statistics.median(values), min(values), max(values))
