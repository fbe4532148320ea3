"""Checks PBS: version, server, queues with their limits, hooks if they can be read, and the current job.

Inside a job it also submits a held job and deletes it again: some sites forbid qsub on nodes.
"""

import os
import re

from .report import ask

SERVER_FIELDS = ("pbs_version", "default_queue", "resources_max", "max_run", "job_history_enable", "node_fail_requeue")
QUEUE_FIELDS = ("enabled", "started", "resources_max", "resources_default", "max_run", "kill_delay", "acl_user_enable")
# Seconds from SIGTERM to SIGKILL, if a queue sets none.
DEFAULT_KILL_DELAY = 10


def attributes(text):
    """Objects of `qstat -Bf` or `qstat -Qf`: (name, {attribute: value}). An attribute of a resource is `name.resource`."""
    objects = []
    # A long value continues in the next line, after a tab.
    for line in re.sub(r"\n\t", "", text).splitlines():
        head = re.match(r"(?:Server|Queue): (.*)", line.strip())
        field = re.match(r"\s+(\S+) = (.*)", line)
        if head:
            objects.append((head.group(1), {}))
        elif field and objects:
            objects[-1][1][field.group(1)] = field.group(2)
    return objects


def _chosen(fields, wanted):
    return ", ".join("{}={}".format(name, value) for name, value in sorted(fields.items()) if name.split(".")[0] in wanted) or "no limits shown"


def look(page):
    """Checks PBS with the commands that a user may run."""
    page.section("PBS")
    version = ask(["qstat", "--version"])
    if version.code is None:
        page.note("PBS", version.fault, "on a cluster with PBS load its module; without PBS use scripts/launch")
        return
    if version.good and version.text:
        page.good("PBS", version.last)
    else:
        page.note("PBS", "qstat --version: {}".format(version.fault), "ask the site, or try another login node")
    server = ask(["qstat", "-Bf"])
    if not server.good:
        page.note("server", "does not answer: {}".format(server.fault), "run this on the login node")
    for name, fields in attributes(server.text) if server.good else []:
        page.good("server", "{}: {}".format(name, _chosen(fields, SERVER_FIELDS)))
    queues = ask(["qstat", "-Qf"])
    for name, fields in attributes(queues.text) if queues.good else []:
        open_for_jobs = fields.get("enabled") == "True" and fields.get("started") == "True"
        fields.setdefault("kill_delay", "{} (the default)".format(DEFAULT_KILL_DELAY))
        (page.good if open_for_jobs else page.note)("queue", "{}: {}".format(name, _chosen(fields, QUEUE_FIELDS)))
    _look_at_nodes(page)
    _look_at_hooks(page)
    _look_at_job(page)


def _look_at_nodes(page):
    nodes = ask(["pbsnodes", "-a"], 30)
    if not nodes.good:
        page.note("nodes", "pbsnodes -a failed: {}".format(nodes.fault))
        return
    kinds = {}
    for block in re.split(r"\n\s*\n", nodes.text):
        have = dict(re.findall(r"resources_available\.(ncpus|ngpus|mem) = (\S+)", block))
        kind = "ncpus={} ngpus={} mem={}".format(have.get("ncpus", "?"), have.get("ngpus", "0"), have.get("mem", "?"))
        kinds[kind] = kinds.get(kind, 0) + 1
    for kind, count in sorted(kinds.items(), key=lambda item: -item[1])[:8]:
        page.good("nodes", "{} of {}".format(count, kind))


def _look_at_hooks(page):
    hooks = ask(["qmgr", "-c", "list hook pbs_cgroups"])
    if hooks.good and "enabled = true" in hooks.text.lower():
        page.good("cgroups hook", "on: a job sees its own GPUs and memory only")
    elif hooks.good and hooks.text:
        page.note("cgroups hook", "off", "jobs on one node see all GPUs: ask for whole nodes (place=scatter:excl), or set node.gpus")
    else:
        page.note("cgroups hook", "this user cannot read it", "inside a job, CUDA_VISIBLE_DEVICES shows the GPUs (below)")


def _look_at_job(page):
    job = os.environ.get("PBS_JOBID")
    if not job:
        page.note("job", "not inside a job", "run this in a small job on the GPU queue too: nodes differ from the login node")
        return
    page.good("job", "{}, {} cores by NCPUS".format(job, os.environ.get("NCPUS", "?")))
    walltime = re.search(r"Resource_List\.walltime = (\S+)", ask(["qstat", "-f", job]).text)
    if walltime:
        page.good("walltime", walltime.group(1))
    else:
        page.note("walltime", "qstat does not show it inside the job", "give --walltime to scripts/pbs-job")
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        held = is_cgroup_of(job, file.read())
    page.note("cgroup", "of this job" if held else "not one of this job", "" if held else "PBS does not end processes that outlive the job")
    _look_at_submitting(page)


def is_cgroup_of(job, cgroups):
    """Whether a line of /proc/self/cgroup names the job, as a part of a path. The number of a job alone may be anything."""
    parts = (part for line in cgroups.splitlines() for part in line.split(":", 2)[-1].split("/"))
    return any(part == job or part.startswith(job + ".") or part == "jobid-" + job for part in parts)


def _look_at_submitting(page):
    submitted = ask(["qsub", "-h", "-N", "bocr-site-check", "-l", "select=1:ncpus=1,walltime=00:01:00", "--", "/bin/true"], 60)
    if submitted.good:
        ids = [line for line in submitted.text.splitlines() if re.match(r"\d+\S*$", line)]
        deleted = ask(["qdel"] + ids, 60) if ids else None
        if deleted and deleted.good:
            page.good("qsub on nodes", "works: a job can submit the next one")
        else:
            page.note("qsub on nodes", "works, but the held job bocr-site-check is left: {}".format(submitted.last), "delete it with qdel")
    else:
        page.note("qsub on nodes", "fails here: {}".format(submitted.fault), "set chain = 0, and queue the next job with `bocr submit --after` on the login node")
