"""Reads the times of a finished run from its run directory."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import re
import shutil
import subprocess

MOMENT = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)Z ")
JOINED = re.compile(r' joined rank=.* host="[^"]*" (.*)')
# Earlier programs wrote `elapsed=1.5ms`.
SEALED = re.compile(r": sealed journal=.* (?:seconds=([\d.e-]+)|elapsed=([\d.]+)(s|ms|µs))$")
UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
# Names of earlier programs in report.json.
PARTS = {"starved_by_rendering": "idle_rendering", "starved_by_coordinator": "idle_no_pages"}


class AccountError(Exception):
    """A run directory lacks a time that is needed."""


@dataclasses.dataclass
class Account:
    """The times of a run (Unix time), and the seconds of its servers by label."""

    pages: int
    servers: int
    # Time at which the plan is made and the first server is ready: rank 0 can deal pages.
    begin: float
    first_verdict: float
    last_verdict: float
    server_seconds: dict[str, float]
    sealing: float


def read(run_directory: pathlib.Path, bocr: str) -> Account:
    """Reads report, logs and records. Raises AccountError if a time is missing."""
    report = json.loads((run_directory / "report.json").read_text(encoding="utf-8"))
    server_seconds: dict[str, float] = {}
    for time in report["server_time"].values():
        for part, duration in time.items():
            if part == "without_pages":
                continue
            # Earlier programs wrote {secs, nanos}.
            seconds = duration["secs"] + duration["nanos"] / 1e9 if isinstance(duration, dict) else duration
            part = PARTS.get(part, part)
            server_seconds[part] = server_seconds.get(part, 0.0) + seconds
    logs = [path.read_text(encoding="utf-8").splitlines() for path in sorted((run_directory / "logs").glob("rank-*.log"))]
    ready = [_moment(line) for log in logs for line in log if ": the server is ready " in line]
    prepared = [_moment(line) for log in logs[:1] for line in log if ": the run is prepared " in line]
    joined = [found[1] for log in logs[:1] for line in log if (found := JOINED.search(line))]
    if not ready or not prepared or not joined:
        raise AccountError(f"the logs in {run_directory}/logs do not show when the run began: unset BOCR_LOG and run again")
    sealed = [found for log in logs for line in log if (found := SEALED.search(line))]
    verdicts = _verdicts(run_directory, bocr)
    if len(verdicts) != report["pages"]:
        raise AccountError(f"{run_directory} has {len(verdicts)} verdicts on {report['pages']} pages: check it with `bocr verify`")
    return Account(
        pages=report["pages"],
        servers=sum(len(re.findall("chandra|deepseek", roles)) for roles in joined),
        begin=max(min(ready), prepared[0]),
        first_verdict=min(verdicts),
        last_verdict=max(verdicts),
        server_seconds=server_seconds,
        sealing=sum(float(found[1] or found[2]) * UNITS[found[3] or "s"] for found in sealed),
    )


def _moment(line: str) -> float:
    """The Unix time at the beginning of a log line."""
    found = MOMENT.match(line)
    if not found:
        raise AccountError(f"a log line has no time: {line[:80]}")
    moment = datetime.datetime.strptime(found[1][:26], "%Y-%m-%dT%H:%M:%S.%f")
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


def _verdicts(run_directory: pathlib.Path, bocr: str) -> list[float]:
    """The time at which each page was settled."""
    export = run_directory / "verdicts"
    command = [bocr, "export", str(run_directory), "--format", "jsonl", "--output", str(export)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AccountError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()}")
    settled: dict[tuple[str, int], float] = {}
    for path in (export / "jsonl").rglob("*.jsonl"):
        with path.open(encoding="utf-8") as file:
            for part in map(json.loads, file):
                settled[part["document"], part["page"]] = part["settled_unix_ms"] / 1000
    shutil.rmtree(export)
    return list(settled.values())
