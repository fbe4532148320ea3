"""The hosts of a run that takes fewer ranks than there are places."""

from __future__ import annotations

import pathlib
from typing import Optional


class HostsError(Exception):
    """The hosts cannot take the ranks that are asked for."""


def places(file: pathlib.Path, per_host: Optional[int], ranks: int) -> list[str]:
    """The host of each rank, in order, for at least so many ranks. A host given twice takes two, as in $PBS_NODEFILE;
    `per_host` overrides it.

    Raises HostsError where there are too few places."""
    names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if per_host is not None:
        names = [name for name in dict.fromkeys(names) for _ in range(per_host)]
    if ranks > len(names):
        raise HostsError(f"the hosts of {file} take {len(names)} ranks, not {ranks}: name more, or see --per-host and --ranks")
    return names
