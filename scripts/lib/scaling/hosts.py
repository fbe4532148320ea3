"""The hosts of a run that takes fewer ranks than there are places."""

from __future__ import annotations

import pathlib
from typing import Optional


class HostsError(Exception):
    """The hosts cannot take the ranks that are asked for."""


def places(file: pathlib.Path, per_host: Optional[int]) -> list[str]:
    """The host of each rank, in order. A host given twice takes two ranks, as in $PBS_NODEFILE; `per_host` overrides it."""
    names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if per_host is not None:
        names = [name for name in dict.fromkeys(names) for _ in range(per_host)]
    if not names:
        raise HostsError(f"{file} names no host")
    return names


def first(all_places: list[str], ranks: int, file: pathlib.Path) -> None:
    """Writes the hosts file of a run of so many ranks: hosts are filled one after the other.

    Raises HostsError where there are too few places."""
    if ranks > len(all_places):
        raise HostsError(f"{ranks} ranks on hosts that take {len(all_places)}: name more hosts, or see --per-host")
    file.write_text("".join(f"{name}\n" for name in all_places[:ranks]), encoding="utf-8")
