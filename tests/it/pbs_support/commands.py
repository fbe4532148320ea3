"""The commands of the fake PBS: each gets the server, its arguments and who asks, and returns output, error and code."""

import json
import signal
import time

from job import Job, Refused, seconds
from mom import LOST

POLL = 0.02
DEFAULT_KILL_DELAY = 10


def qsub(pbs, arguments, request):
    if arguments == ["--version"]:
        return "pbs_version = 23.06.06\n", "", 0
    with pbs.lock:
        try:
            job = Job(len(pbs.jobs), arguments, request)
        except Refused as refused:
            return "", f"{refused}\n", refused.code
        if job.depend:
            job.state = "H"
        pbs.jobs[job.id] = job
    return f"{job.id}\n", "", 0


def qalter(pbs, arguments, request):
    job, resources = find(pbs, arguments[-1]), Job.read_resources([arguments[arguments.index("-l") + 1]])
    with pbs.lock:
        job.resources |= resources
        job.walltime = seconds(resources["walltime"])
    return "", "", 0


def qstat(pbs, arguments, request):
    if arguments[0].startswith("-Q"):
        limits = f"    kill_delay = {int(pbs.kill_delay)}\n" if pbs.kill_delay != DEFAULT_KILL_DELAY else ""
        return f"Queue: workq\n    queue_type = Execution\n    enabled = True\n{limits}    started = True\n", "", 0
    history, as_json = "x" in "".join(each for each in arguments if each.startswith("-")), "json" in arguments
    out, err, code, told = "", "", 0, {}
    for name in (each for each in arguments if not each.startswith("-") and each != "json"):
        job = find(pbs, name)
        if job is None:
            err, code = f"qstat: Unknown Job Id {name}\n", 153
        elif job.state == "F" and not history:
            err, code = f"qstat: {name} Job has finished, use -x or -H to obtain historical job information\n", 35
        else:
            told[job.id] = job.described()
    if as_json:
        nested = {name: nest(attributes) for name, attributes in told.items()}
        out = json.dumps({"timestamp": int(time.time()), "pbs_version": "23.06.06", "pbs_server": "pbssrv", "Jobs": nested}, indent=4)
    else:
        for name, attributes in told.items():
            out += f"Job Id: {name}\n" + "".join(wrapped(f"    {key} = {value}") for key, value in attributes.items()) + "\n"
    return out, err, code


def nest(attributes):
    nested = {}
    for key, value in attributes.items():
        first, _, second = key.partition(".")
        if second:
            nested.setdefault(first, {})[second] = value
        else:
            nested[first] = int(value) if key in ("run_count", "Exit_status") else value
    return nested


def wrapped(line):
    """As qstat does with lines beyond 79 columns."""
    text = ""
    while len(line) > 79:
        cut = line.rfind(",", 20, 79) + 1 or 79
        text, line = text + line[:cut] + "\n", "\t" + line[cut:]
    return text + line + "\n"


def find(pbs, name):
    return pbs.jobs.get(name) or pbs.jobs.get(f"{name}.pbssrv")


def qdel(pbs, arguments, request):
    force = "force" in arguments
    for name in (each for each in arguments if each not in ("-W", "-Wforce", "force")):
        job = find(pbs, name)
        if job is None or job.state == "F":
            return "", f"qdel: Unknown Job Id {name}\n", 153
        with pbs.lock:
            if job.state in "QH":
                job.state = "F"
            else:
                pbs.end(job, "delete", force or "-Wforce" in arguments)
    return "", "", 0


def qrerun(pbs, arguments, request):
    job = find(pbs, arguments[-1])
    if job is None:
        return "", f"qrerun: Unknown Job Id {arguments[-1]}\n", 153
    # Only an operator may, and no operator works inside a job.
    if "PBS_JOBID" in request["environment"]:
        return "", f"qrerun: Unauthorized Request {job.id}\n", 159
    if not job.rerunnable:
        return "", f"qrerun: Job not rerunnable {job.id}\n", 190
    before = job.run_count
    pbs.end(job, "rerun")
    while job.state in "RE" and job.run_count == before:
        time.sleep(POLL)
    return "", "", 0


def qsig(pbs, arguments, request):
    job = find(pbs, arguments[-1])
    name = arguments[arguments.index("-s") + 1] if "-s" in arguments else "SIGTERM"
    job.tasks[0].signal(getattr(signal, name if name.startswith("SIG") else f"SIG{name}"))
    return "", "", 0


def asking_job(pbs, request):
    """The job whose task asks."""
    environment = request["environment"]
    job = pbs.jobs.get(environment.get("PBS_JOBID"))
    return job if job and environment.get("PBS_JOBCOOKIE") == job.cookie and job.state == "R" else None


def pbs_tmrsh(pbs, arguments, request):
    job = asking_job(pbs, request)
    if job is None:
        return "", "pbs_tmrsh: tm_init: Not called from within a job\n", 1
    host, *words = arguments
    if host not in job.hosts:
        return "", f"pbs_tmrsh: node {host} not in PBS allocation\n", 1
    # Its output goes to the job's; there is no shell.
    return "", "", await_task(pbs.start_task(job, host, words))


def await_task(task):
    if task is None:
        return LOST
    while task.exit_code() is None:
        if not task.host.alive():
            return LOST
        time.sleep(POLL)
    # What its leader leaves is killed at once.
    task.kill()
    code = task.exit_code()
    return code if code >= 0 else 128 - code


def pbsdsh(pbs, arguments, request):
    job = asking_job(pbs, request)
    if job is None:
        return "", "pbsdsh: tm_init: Not called from within a job\n", 1
    lines, at = job.node_lines(), 0
    while at < len(arguments) and arguments[at].startswith("-"):
        option = arguments[at]
        at += 1
        if option == "--":
            break
        if option in ("-c", "-n", "-h"):
            value = arguments[at]
            at += 1
            if option == "-c":
                lines = [lines[index % len(lines)] for index in range(int(value))]
            elif option == "-n":
                lines = [lines[int(value)]]
            else:
                lines = [line for line in lines if line == value][:1]
    tasks = [pbs.start_task(job, host, arguments[at:]) for host in lines]
    return "", "", max(await_task(task) for task in tasks)


COMMANDS = {each.__name__: each for each in (qsub, qalter, qstat, qdel, qrerun, qsig, pbs_tmrsh, pbsdsh)}


def answer(pbs, request):
    return COMMANDS[request["name"]](pbs, request["arguments"], request)
