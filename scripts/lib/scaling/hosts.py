"""The hosts of a run with fewer ranks than the hosts file has places."""

from __future__ import annotations

import pathlib
from typing import Optional


class HostsError(Exception):
    """The hosts file has fewer places than ranks."""


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
