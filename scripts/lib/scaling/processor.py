"""Processor time of the ranks on this host by thread, of all processes of a run, and of the whole host."""

from __future__ import annotations

import ctypes
import os
import pathlib
import resource
import threading
import time
from typing import Optional

PR_SET_CHILD_SUBREAPER = 36
TICK = os.sysconf("SC_CLK_TCK")
INTERVAL = 0.5
RANK_VARIABLES = (b"OMPI_COMM_WORLD_RANK=", b"PMI_RANK=", b"PMIX_RANK=")


def adopt_orphans() -> None:
    """Makes this process inherit descendants whose parents die, so that it counts all of them."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def reap_orphans(limit: float = 5.0) -> None:
    """Waits for the leftover processes of a run, at most `limit` seconds."""
    last = time.monotonic() + limit
    try:
        while time.monotonic() < last:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)
    except ChildProcessError:
        pass


def of_children() -> float:
    """CPU seconds of all descendants that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def of_host() -> tuple[float, float]:
    """Busy seconds of the cores of this host, and all their seconds."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / TICK, sum(ticks) / TICK


class RankWatch(threading.Thread):
    """Samples the ranks of a run on this host twice a second."""

    def __init__(self, run_directory: pathlib.Path, ranks: int):
        super().__init__(daemon=True)
        self._run_directory = os.fsencode(run_directory)
        self._ranks = ranks
        self._processes: dict[int, int] = {}
        self._looks: list[tuple[float, dict[int, tuple[float, float]]]] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(INTERVAL):
            if len(self._processes) < self._ranks:
                self._processes = dict(_ranks_of(self._run_directory))
            look = {rank: _seconds(process) for rank, process in self._processes.items()}
            self._looks.append((time.time(), {rank: seconds for rank, seconds in look.items() if seconds is not None}))

    def end(self) -> None:
        self._over.set()
        self.join()

    def shares(self, begin: float, end: float) -> dict[int, tuple[float, float]]:
        """For each rank: the shares of a core that its main thread and the whole rank used between two Unix times."""
        looks = [look for look in self._looks if begin <= look[0] <= end]
        if len(looks) < 2:
            return {}
        (then, before), (now, after) = looks[0], looks[-1]
        return {
            rank: tuple((later - earlier) / (now - then) for earlier, later in zip(before[rank], after[rank]))
            for rank in before.keys() & after.keys()
        }


def _ranks_of(run_directory: bytes):
    """Rank and process id of the ranks that work on the run directory."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"run" not in words or run_directory not in words:
                continue
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in RANK_VARIABLES:
            found = [entry[len(variable) :] for entry in environment if entry.startswith(variable)]
            if found:
                yield int(found[0]), int(folder.name)
                break


def _seconds(process: int) -> Optional[tuple[float, float]]:
    """Processor seconds of the main thread of a process and of all its threads."""
    try:
        return _ticks(f"/proc/{process}/task/{process}/stat"), _ticks(f"/proc/{process}/stat")
    except OSError:
        return None


def _ticks(path: str) -> float:
    with open(path, encoding="utf-8", errors="replace") as file:
        # The second field, the name in brackets, may hold spaces.
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK
