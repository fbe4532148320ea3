"""Plots of an experiment: `python -m scaling.plots DIR` writes DIR/*.svg from DIR/runs.csv."""

from __future__ import annotations

import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402  after the choice of the back end

from . import row, speedup  # noqa: E402
from .table import MODES  # noqa: E402

COLOURS = {
    "busy": "#2a9d8f",
    "idle_rendering": "#e9c46a",
    "idle_no_pages": "#e76f51",
    "starting": "#8ab6d6",
    "down": "#6d1a36",
    "draining": "#b8a9c9",
    "outside": "#c8c8c8",
}


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    rows = row.read(folder / "runs.csv")
    # A fixed salt: equal rows make equal files.
    pyplot.rcParams.update({"svg.hashsalt": "scaling", "font.size": 10, "axes.grid": True, "grid.alpha": 0.3})
    found = {mode: points for mode in MODES if (points := speedup.points(rows, mode))}
    axes = _curves(found, "speed-up", lambda point: point.speed_up, ideal=lambda ranks: ranks)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    _save(axes.figure, folder / "speed-up.svg")
    axes = _curves(found, "efficiency", lambda point: point.efficiency, ideal=lambda _: 1)
    axes.set_ylim(0, 1.1)
    _save(axes.figure, folder / "efficiency.svg")
    axes = _curves(found, "serial fraction (Karp and Flatt)", _serial_fraction, ideal=lambda _: 0)
    _save(axes.figure, folder / "serial-fraction.svg")
    for mode, points in found.items():
        _bars(points, folder / f"seconds-{mode}.svg", mode)


def _serial_fraction(point):
    if point.ranks == 1:
        return None
    fraction = [speedup.serial_fraction(value, point.ranks) for value in (point.speed_up.most, point.speed_up.least)]
    return speedup.Spread(point.serial_fraction, *fraction)


def _curves(found, label, spread_of, ideal):
    """Axes with a line for each mode, error bars for the spread, and the ideal."""
    _, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    all_ranks = sorted({point.ranks for points in found.values() for point in points})
    axes.plot(all_ranks, [ideal(ranks) for ranks in all_ranks], "--", color="grey", linewidth=1, label="ideal")
    for mode, points in found.items():
        drawn = [(point.ranks, spread) for point in points if (spread := spread_of(point)) is not None]
        if not drawn:
            continue
        middle = [spread.median for _, spread in drawn]
        below = [spread.median - spread.least for _, spread in drawn]
        above = [spread.most - spread.median for _, spread in drawn]
        ranks = [ranks for ranks, _ in drawn]
        axes.errorbar(ranks, middle, yerr=(below, above), marker="o", markersize=4, capsize=3, label=f"{mode} scaling")
    axes.set_xscale("log", base=2)
    axes.set_xticks(all_ranks, [str(ranks) for ranks in all_ranks])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel("ranks")
    axes.set_ylabel(label)
    axes.legend()
    return axes


def _bars(points, path, mode) -> None:
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    places = range(len(points))
    floor = [0.0] * len(points)
    for part in row.PARTS:
        heights = [100 * point.parts[part] for point in points]
        axes.bar(places, heights, bottom=floor, color=COLOURS[part], label=row.label(part), width=0.7)
        floor = [below + height for below, height in zip(floor, heights)]
    axes.set_xticks(list(places), [str(point.ranks) for point in points])
    axes.set_xlabel(f"ranks ({mode} scaling)")
    axes.set_ylabel("seconds of the servers, %")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right upper", fontsize=8)
    _save(figure, path)


def _save(figure, path: pathlib.Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
