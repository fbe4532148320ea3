"""Runs bocr once under scripts/launch and measures the row."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import time
from typing import Optional

from . import account, processor
from .row import PARTS, Row

# Exit codes of a run that settled every page.
SETTLED = (0, 3)


class RunError(Exception):
    """A run that cannot be measured."""


@dataclasses.dataclass
class Programs:
    """The programs, their settings and hosts."""

    launch: pathlib.Path
    bocr: str
    configuration: pathlib.Path
    # Options of scripts/launch; arguments of `bocr run`.
    options: list[str]
    arguments: list[str]
    # The host of each rank. `None`: all ranks run on this host.
    places: Optional[list[str]]


def measure(programs: Programs, folder: pathlib.Path, mode: str, ranks: int, repeat: int, documents) -> Row:
    """Runs in `folder`/run and waits for the end. Raises RunError if the first start did not settle every page."""
    folder.mkdir(parents=True)
    run_directory = folder / "run"
    documents_file = folder / "documents.txt"
    documents_file.write_text("".join(f"{path}\n" for path in documents), encoding="utf-8")
    command = [str(programs.launch), "--bocr", programs.bocr, *programs.options]
    if programs.places is None:
        command += ["--ranks", str(ranks)]
    else:
        # Fills one host after the other.
        hosts_file = folder / "hosts"
        hosts_file.write_text("".join(f"{host}\n" for host in programs.places[:ranks]), encoding="utf-8")
        command += ["--hosts", str(hosts_file)]
    command += ["--", "--list", str(documents_file), "--output", str(run_directory)]
    command += ["--config", str(programs.configuration), *programs.arguments]

    watch = processor.RankWatch(run_directory, ranks)
    cpu, (worked, total) = processor.of_children(), processor.of_host()
    launched = time.time()
    code, log = _launch(command, folder / "log", watch)
    ended = time.time()
    processor.reap_orphans()
    cpu = processor.of_children() - cpu
    worked, total = (now - then for now, then in zip(processor.of_host(), (worked, total)))
    if code not in SETTLED:
        raise RunError(f"`{' '.join(command)}` ended with code {code}; the end of its output:\n{_tail(log)}")
    if "launch: attempt 2" in log:
        raise RunError(f"{run_directory} lost a rank or a host and was started again, so its times are not valid: start scripts/scaling again\n{_tail(log)}")

    times = account.read(run_directory, programs.bocr)
    shares = watch.shares(times.begin, times.last_verdict)
    main_threads = [main for rank, (main, _) in shares.items() if rank > 0]
    seconds = ended - launched
    parts = {part: times.server_seconds.get(part, 0.0) for part in PARTS if part != "outside"}
    return Row(
        mode=mode,
        ranks=ranks,
        repeat=repeat,
        pages=times.pages,
        servers=times.servers,
        seconds=seconds,
        start_seconds=times.begin - launched,
        first_page_seconds=times.first_verdict - launched,
        reading_seconds=times.last_verdict - times.begin,
        end_seconds=ended - times.last_verdict,
        **parts,
        outside=times.servers * seconds - sum(parts.values()),
        sealing=times.sealing,
        cpu_seconds=cpu,
        cpu_share=cpu / seconds / (os.cpu_count() or 1),
        host_busy=worked / total,
        coordinator=shares[0][0] if 0 in shares else None,
        other_main_threads=sum(main_threads) / len(main_threads) if main_threads else None,
        rank_zero=shares[0][1] if 0 in shares else None,
    )


def _launch(command: list[str], log: pathlib.Path, watch: processor.RankWatch) -> tuple[int, str]:
    """Exit code and output of the launcher. On an interrupt, sends SIGTERM to the launcher and waits for its end."""
    with log.open("wb") as output:
        # The launcher has its own session: the keyboard interrupt reaches this process only, which forwards it once.
        launcher = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        watch.start()
        try:
            code = launcher.wait()
        except BaseException:
            launcher.terminate()
            launcher.wait()
            raise
        finally:
            watch.end()
    return code, log.read_text(encoding="utf-8", errors="replace")


def _tail(log: str) -> str:
    return "\n".join(log.splitlines()[-15:])
