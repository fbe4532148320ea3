#!/usr/bin/env python3
"""Synthetic servers: stand-ins that read no page and answer after a given time."""

from __future__ import annotations

import pathlib
import sys

# Pages in flight on a synthetic server. The number is small, so that the end of a run is short: there, servers run out of
# pages one after the other.
IN_FLIGHT = 2

# A rank may hold twice as many pages as are in flight, and holds a page until its record is on disk. Real servers have many
# pages in flight, so the pages of one sync interval (store.sync_interval) are few of them. Here they would be all pages:
# each record is synced at once.
SYNC_RECORDS = 1

# Mean tokens of a synthetic answer to one of the ten sample pages at ANSWER_MEDIAN. ANSWER_MEDIAN counts the text only; an
# answer also has tags.
TOKENS_A_PAGE = 188
ANSWER_MEDIAN = 100
ANSWER_SIGMA = 0.3

# Pages are rendered small: all ranks share the cores of one machine, and the experiment does not measure rendering.
PROFILE = """extends = "chandra-2"

[image]
dpi = 48.0
min_side = 256
"""

CONFIGURATION = """roles = "chandra"

[store]
sync_records = {sync_records}

[engines.chandra]
profile = '{profile}'
in_flight = {in_flight}

[engines.chandra.server]
kind = "stand-in"
mode = "synthetic"
arguments = [
    "--answer-median", "{median}", "--answer-sigma", "{sigma}", "--chunk-tokens", "1000",
    "--step-floor", "1", "--step-per-sequence", "{step}", "--step-per-prompt-token", "0",
]
"""


def synthetic(folder: pathlib.Path, rate: float) -> pathlib.Path:
    """Writes the configuration of servers that each answer `rate` sample pages per second, for any number in flight: the
    time of a step of the modelled GPU is proportional to the number of sequences."""
    profile = folder / "synthetic.toml"
    profile.write_text(PROFILE, encoding="utf-8")
    configuration = folder / "configuration.toml"
    step = round(1_000_000 / (rate * TOKENS_A_PAGE))
    text = CONFIGURATION.format(
        profile=profile,
        in_flight=IN_FLIGHT,
        sync_records=SYNC_RECORDS,
        median=ANSWER_MEDIAN,
        sigma=ANSWER_SIGMA,
        step=max(1, step),
    )
    configuration.write_text(text, encoding="utf-8")
    return configuration


def main() -> int:
    """Writes the configuration into the folder of the first argument, for servers of the rate of the second."""
    try:
        folder, rate = pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2])
    except (IndexError, ValueError):
        rate = 0.0
    if not 0.01 <= rate <= 100:
        print(f"synthetic_servers: `{sys.argv[2:]}` is no number from 0.01 to 100 (pages per second)", file=sys.stderr)
        return 2
    print(synthetic(folder, rate))
    return 0


if __name__ == "__main__":
    sys.exit(main())
