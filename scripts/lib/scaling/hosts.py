"""The hosts of a run with fewer ranks than the hosts file has places."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
from typing import Optional

TMRSH_AGENT = pathlib.Path(__file__).resolve().parents[1] / "tmrsh-agent"
ANSWER_SECONDS = 20


class HostsError(Exception):
    """The hosts file has fewer places than ranks, or a host cannot be reached."""


def places(file: pathlib.Path, per_host: Optional[int], ranks: int) -> list[str]:
    """The host of each place, in order. A host that is given twice has two places, as in $PBS_NODEFILE; `per_host` overrides
    that.

    Raises HostsError if there are fewer places than ranks."""
    names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if per_host is not None:
        names = [name for name in dict.fromkeys(names) for _ in range(per_host)]
    if ranks > len(names):
        raise HostsError(f"the hosts of {file} have places for {len(names)} ranks, not {ranks}: name more hosts, raise --per-host, or lower --ranks")
    return names


def agent(names: list[str], mpirun: str) -> Optional[str]:
    """The command by which mpirun starts processes on these hosts, as scripts/pbs-job chooses it; `None` if mpirun needs none.

    Raises HostsError if a host cannot be reached."""
    here = socket.gethostname().split(".")[0]
    others = [name for name in dict.fromkeys(names) if name != "localhost" and name.split(".")[0] != here]
    if not others or (in_job := bool(os.environ.get("PBS_JOBID"))) and _supports_pbs(mpirun):
        return None
    if in_job and _succeeds([str(TMRSH_AGENT), "--find"]):
        return str(TMRSH_AGENT)
    for name in others:
        if not _succeeds(["ssh", "-o", "BatchMode=yes", name, "true"]):
            raise HostsError(f"{name} does not answer ssh, and there is no pbs_tmrsh: give --agent, or name this host only")
    return None


def _supports_pbs(mpirun: str) -> bool:
    folder = pathlib.Path(shutil.which(mpirun) or mpirun).parent
    return any(b"plm:tm:" in _output([str(folder / name), "--parsable"]) for name in ("ompi_info", "prte_info"))


def _output(command: list[str]) -> bytes:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
