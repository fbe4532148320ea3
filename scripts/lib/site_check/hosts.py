"""The other hosts of a job: whether they answer, see the folder, keep the time and hold to its locks.

PBS's own agent does not give a command's output back (docs/facts/pbs.md, "Agents"): so each host writes what it
finds into the folder, which is also what is to be found out.
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
# Clocks further apart make times in the records contradict one another.
LARGEST_SKEW = 2.0

# Run by sh on each host: $1 the folder of the trial, $2 the host's name as it was given.
SCRIPT = """\
flock -n -E 75 "$1/lock" true 2>/dev/null
locked=$?
{ date +%s.%N; hostname; echo "$locked"; getconf GNU_LIBC_VERSION; command -v mpirun || echo none; } >"$1/$2.new"
mv "$1/$2.new" "$1/$2"
"""


def read_hosts(path):
    """Hosts of a file, each once, without this one."""
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
    """Looks at the hosts that are named in the file `nodes`."""
    page.section("other hosts")
    hosts = read_hosts(nodes) if nodes else []
    if not hosts:
        page.note("hosts", "no others to look at", "" if nodes else "run this inside a job of two nodes, or give --hosts")
        return
    command = _agent(agent)
    page.good("agent", " ".join(command))
    try:
        trial = tempfile.TemporaryDirectory(prefix=".bocr-site-check-", dir=str(place))
    except OSError:
        page.note("hosts", "not looked at, since the folder cannot be written to")
        return
    with trial as folder:
        script, lock = os.path.join(folder, "script"), os.path.join(folder, "lock")
        pathlib.Path(script).write_text(SCRIPT, encoding="utf-8")
        with open(lock, "w", encoding="utf-8") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass  # Said of the folder already.
            for host in hosts:
                _look_at(page, command, folder, host)


def _look_at(page, agent, folder, host):
    answer = ask(agent + [host, "true"], SECONDS)
    if not answer.good:
        page.lack(host, "does not answer {}: {}".format(agent[0], answer.last or "code {}".format(answer.code)), "try another --agent")
        return
    before = time.time()
    told = ask(agent + [host, "/bin/sh", os.path.join(folder, "script"), folder, host], SECONDS)
    after = time.time()
    try:
        clock, name, locked, libc, mpirun = pathlib.Path(folder, host).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        page.lack(host, "does not see this folder: {}".format(told.last), "put RUNDIR on a file system that all nodes share")
        return
    page.good(host, "sees this folder ({}, {}, mpirun {})".format(name, libc, mpirun))
    _look_at_clock(page, host, clock, before, after)
    if locked == "75":
        page.good(host, "holds to the locks of this host")
    else:
        page.note(host, "is given a lock that this host holds", "never start two runs on one RUNDIR")
    if mpirun == "none":
        page.note(host, "has no mpirun on its PATH", "load modules in the job's set-up lines, and start with mpirun's whole path")


def _look_at_clock(page, host, clock, before, after):
    if not re.match(r"^\d+\.\d+$", clock):
        page.note(host, "does not tell its time exactly: {}".format(clock))
        return
    # Read at some moment between the two: how far off it is at the least.
    skew = max(before - float(clock), float(clock) - after, 0.0)
    if skew > LARGEST_SKEW:
        page.note(host, "clock off by {:.1f} s at the least".format(skew), "times in the records will not fit together: ask the site for NTP")
    else:
        page.good(host, "clock within {:.1f} s".format(max(skew, after - before)))
