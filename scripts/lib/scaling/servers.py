"""Synthetic servers: stand-ins that read nothing and take their time for it."""

from __future__ import annotations

import pathlib

# Pages in flight on a synthetic server: few, so that a run's end, when servers run out of pages one by one, is short.
IN_FLIGHT = 2

# A rank may hold twice as many pages as are in flight, and holds one until its record is on the disk. Real servers have so
# many in flight that those of a second do not matter (store.sync_interval); here they would be all, so none waits.
SYNC_RECORDS = 1

# Tokens of a synthetic answer to a sample gazette at ANSWER_MEDIAN, on the mean of its ten pages: the median is that of the
# text, which comes with the tags around it.
TOKENS_A_PAGE = 188
ANSWER_MEDIAN = 100
ANSWER_SIGMA = 0.3

# Pages are drawn small: all ranks share the cores of one machine here, and what is measured is not how fast they draw.
PROFILE = """extends = "chandra-2"

[image]
dpi = 48.0
min_side = 256
"""

CONFIGURATION = """[store]
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
    """Writes the configuration of servers that answer so many sample pages a second each, however many are in flight:
    a step of the modelled GPU lasts as many times longer as it serves sequences."""
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
