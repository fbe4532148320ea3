"""Checks the other hosts of a job: whether they answer, see the folder, have the same time and respect its locks.

PBS's own agent does not return the output of a command (docs/facts/pbs.md, "Agents"). Therefore each host writes its results
to the folder. That also shows whether the host sees the folder.
"""

import fcntl
import os
import pathlib
import re
import shlex
import shutil
import socket
import tempfile
import time

from .report import ask

SECONDS = 20
# Seconds. If clocks differ by more, the times in the records contradict one another.
LARGEST_SKEW = 2.0

# sh runs this on each host. $1 is the folder of the test, $2 the name of the host as in the hosts file.
SCRIPT = """\
flock -n -E 75 "$1/lock" true 2>/dev/null
locked=$?
{ date +%s.%N; hostname; echo "$locked"; getconf GNU_LIBC_VERSION; command -v mpirun || echo none; } >"$1/$2.new"
mv "$1/$2.new" "$1/$2"
"""


def read_hosts(path):
    """The hosts of a file, each once, without this host."""
    here = socket.gethostname().split(".")[0]
    names = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and not line.startswith("#")]
    return [name for name in dict.fromkeys(names) if name != "localhost" and name.split(".")[0] != here]


def _agent(given):
    if given:
        return shlex.split(given)
    if os.environ.get("PBS_JOBID") and shutil.which("pbs_tmrsh"):
        return ["pbs_tmrsh"]
    return ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]


def look(page, place, nodes, agent):
    """Checks the hosts of the file `nodes`."""
    page.section("other hosts")
    hosts = read_hosts(nodes) if nodes else []
    if not hosts:
        page.note("hosts", "no other hosts to check", "" if nodes else "run this inside a job of two nodes, or give --hosts")
        return
    command = _agent(agent)
    page.good("agent", " ".join(command))
    try:
        trial = tempfile.TemporaryDirectory(prefix=".bocr-site-check-", dir=str(place))
    except OSError:
        page.note("hosts", "not checked: the folder is not writable", "name another folder with --folder")
        return
    with trial as folder:
        script, lock = os.path.join(folder, "script"), os.path.join(folder, "lock")
        pathlib.Path(script).write_text(SCRIPT, encoding="utf-8")
        with open(lock, "w", encoding="utf-8") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass  # The check of the folder reports this.
            for host in hosts:
                _look_at(page, command, folder, host)


def _look_at(page, agent, folder, host):
    answer = ask(agent + [host, "true"], SECONDS)
    if not answer.good:
        page.lack(host, "does not answer {}: {}".format(agent[0], answer.last or "code {}".format(answer.code)), "try another --agent")
        return
    before = time.time()
    outcome = ask(agent + [host, "/bin/sh", os.path.join(folder, "script"), folder, host], SECONDS)
    after = time.time()
    try:
        clock, name, locked, libc, mpirun = pathlib.Path(folder, host).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        page.lack(host, "does not see this folder: {}".format(outcome.last), "put RUNDIR on a file system that all nodes share")
        return
    page.good(host, "sees this folder ({}, {}, mpirun {})".format(name, libc, mpirun))
    _look_at_clock(page, host, clock, before, after)
    if locked == "75":
        page.good(host, "respects the locks of this host")
    else:
        page.note(host, "gets a lock that this host holds", "never start two runs on one RUNDIR")
    if mpirun == "none":
        page.note(host, "has no mpirun on its PATH", "load the MPI module in the job's set-up lines, and start mpirun by its whole path")


def _look_at_clock(page, host, clock, before, after):
    if not re.match(r"^\d+\.\d+$", clock):
        page.note(host, "shows no exact time: {}".format(clock))
        return
    # The host read its clock between `before` and `after`. This is the least possible difference.
    skew = max(before - float(clock), float(clock) - after, 0.0)
    if skew > LARGEST_SKEW:
        page.note(host, "clock off by at least {:.1f} s".format(skew), "times in the records will contradict one another: ask the site for NTP")
    else:
        page.good(host, "clock within {:.1f} s".format(max(skew, after - before)))
