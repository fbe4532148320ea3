"""A small OpenPBS for tests, on the three hosts of tests/launch_support/hosts. It does what
docs/facts/pbs.md says of OpenPBS.

    server.py DIRECTORY [KILL_DELAY [NODE_FAIL_REQUEUE [MAX_POLL_DOWNTIME]]]
                                 seconds; in the hosts' process space, until it is killed

DIRECTORY is that of the hosts. In its folder `pbs`: `bin` with the commands, `socket`, `home` (the user's), and `events`,
one line for each signal that PBS sent.

Not imitated: several queues and users, priorities, GPUs, memory, node sharing by place=excl, job arrays, `-W block`, -k
without `o` (output is always live), the growing poll intervals (walltime and kill_delay are exact here), the cgroups
hook, power cuts of the server, and PBS's own traffic when a host's link is cut.
"""

import json
import os
import pathlib
import signal
import socketserver
import subprocess
import sys
import threading
import time

import commands
from mom import SPOOL, Host

POLL = 0.05
LOGIN_SHELL = pathlib.Path(os.environ.get("LOGIN_SHELL", "/bin/bash"))
CORES = 4


class Server:
    def __init__(self, directory, kill_delay, node_fail_requeue, max_poll_downtime):
        self.directory = pathlib.Path(directory)
        self.pbs = self.directory / "pbs"
        self.kill_delay, self.node_fail_requeue, self.max_poll_downtime = kill_delay, node_fail_requeue, max_poll_downtime
        names = (self.directory / "nodes").read_text().split()
        self.hosts = {name: Host(directory, name) for name in names}
        self.jobs, self.lock = {}, threading.RLock()

    def note(self, job, what):
        with open(self.pbs / "events", "a") as events:
            events.write(f"{job.id} {what}\n")

    def schedule(self):
        """Starts what waits and fits, first come first served; each chunk on a host of its own."""
        while True:
            with self.lock:
                for job in self.jobs.values():
                    if job.state == "H":
                        self._look_at_dependencies(job)
                    if job.state == "Q":
                        self._place(job)
            time.sleep(POLL)

    def _look_at_dependencies(self, job):
        for kind, *others in job.depend:
            for other in (self.jobs.get(name) for name in others):
                if other is None or other.state != "F":
                    if other is not None:
                        return
                    continue
                good = other.exit_status == 0
                if (kind == "afterok" and not good) or (kind == "afternotok" and good):
                    job.state, job.comment = "F", "job was deleted as its dependency failed"
                    return
        job.state = "Q"

    def _place(self, job):
        free = {name: CORES for name, host in self.hosts.items() if host.alive()}
        for other in self.jobs.values():
            if other.state in "RE":
                for name, chunk in zip(other.hosts, other.chunks):
                    free[name] = free.get(name, 0) - chunk["ncpus"]
        chosen = []
        for chunk in job.chunks:
            fitting = [name for name, cores in free.items() if cores >= chunk["ncpus"] and name not in chosen]
            if not fitting:
                job.comment = f"Not Running: Insufficient amount of resource: ncpus (R: {chunk['ncpus']})"
                return
            chosen.append(fitting[0])
        job.hosts, job.state, job.comment, job.ending, job.kill_at = chosen, "R", "", None, None
        job.run_count, job.started, job.tasks = job.run_count + 1, time.monotonic(), []
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def environment(self, job, host, task):
        """Of what PBS starts. In tasks on the first node the node file is unset."""
        chunk = job.chunks[job.hosts.index(host)]
        home = str(self.pbs / "home")
        told = {"HOME": home, "USER": "root", "LOGNAME": "root", "SHELL": str(LOGIN_SHELL), "PATH": "/bin:/usr/bin"}
        told |= job.variables
        told |= {"PBS_JOBID": job.id, "PBS_JOBNAME": job.name, "PBS_O_WORKDIR": job.work, "PBS_O_HOME": "/root",
                 "PBS_O_HOST": "login", "PBS_QUEUE": "workq", "PBS_ENVIRONMENT": "PBS_BATCH",
                 "PBS_NODENUM": str(job.hosts.index(host)), "PBS_TASKNUM": str(task), "PBS_MOMPORT": "15003",
                 "PBS_JOBCOOKIE": job.cookie, "TMPDIR": f"/var/tmp/pbs.{job.id}", "NCPUS": str(chunk["ncpus"]),
                 "OMP_NUM_THREADS": str(chunk["threads"])}
        if task == 1 or host != job.hosts[0]:
            told["PBS_NODEFILE"] = f"{SPOOL}/aux/{job.id}"
        return told

    def output(self, job):
        pathlib.Path(job.output).parent.mkdir(parents=True, exist_ok=True)
        return open(job.output, "ab", buffering=0)

    def start_task(self, job, host, words):
        """Starts a program of a job on one of its hosts; None where that is lost."""
        with self.lock:
            environment = self.environment(job, host, len(job.tasks) + 1)
            with self.output(job) as output:
                task = self.hosts[host].start(words, environment, output)
            if task is not None:
                job.tasks.append(task)
        return task

    def _begin(self, job):
        nodes = "".join(f"{line}\n" for line in job.node_lines())
        for host in job.hosts:
            self.hosts[host].call(
                f"mkdir -m 700 -p /var/tmp/pbs.{job.id} && mkdir -p {SPOOL}/aux && cat >{SPOOL}/aux/{job.id}", nodes)
        first, script = self.hosts[job.hosts[0]], f"{SPOOL}/mom_priv/jobs/{job.id}.SC"
        first.call(f"mkdir -p {SPOOL}/mom_priv/jobs && cat >{script} && chmod 700 {script}", job.script)
        # A login shell that reads the path of the copy from a pipe.
        reading, writing = os.pipe()
        os.write(writing, f"{script}\n".encode())
        os.close(writing)
        with self.output(job) as output:
            shell = ["/bin/bash", "-c", f"exec -a -{LOGIN_SHELL.name} {LOGIN_SHELL}"]
            task = first.start(shell, self.environment(job, job.hosts[0], 1), output, reading)
        os.close(reading)
        with self.lock:
            job.tasks.append(task)
        return task

    def _run(self, job):
        top = self._begin(job)
        lost_at = other_lost_at = None
        while True:
            now, over = time.monotonic(), top.exit_code() is not None
            if not self.hosts[job.hosts[0]].alive():
                # The job seems to run on until the server gives its first node up.
                lost_at = lost_at or now
                if now - lost_at >= self.node_fail_requeue:
                    job.ending = "lost"
                    break
            elif over and (job.ending is None or not top.members()):
                break
            elif not job.tolerates_lost_nodes and not all(self.hosts[name].alive() for name in job.hosts):
                # The first node waits for the others, then kills the job at once.
                other_lost_at = other_lost_at or now
                if now - other_lost_at >= self.max_poll_downtime:
                    job.ending = "other lost"
                    self.note(job, "KILL")
                    break
            elif job.kill_at is not None and now >= job.kill_at:
                self.note(job, "KILL")
                break
            elif job.ending is None and job.walltime and now - job.started > job.walltime:
                with self.output(job) as output:
                    used = int(now - job.started)
                    output.write(f"=>> PBS: job killed: walltime {used} exceeded limit {job.walltime}\n".encode())
                self.end(job, "walltime")
            time.sleep(POLL)
        self._finish(job, top)

    def end(self, job, why, force=False):
        """Tells the first node, and no other; what has not ended after the kill delay is killed."""
        with self.lock:
            if job.ending is None:
                job.ending = why
            if force:
                job.kill_at = 0
                return
            job.kill_at = job.kill_at or time.monotonic() + self.kill_delay
            self.note(job, "TERM")
            for task in job.tasks:
                if task.host.name == job.hosts[0]:
                    task.signal(signal.SIGTERM)

    def _finish(self, job, top):
        job.state = "E"
        for task in job.tasks:
            if task.host.alive():
                task.kill()
        for host in job.hosts:
            if self.hosts[host].alive():
                self.hosts[host].call(f"rm -rf /var/tmp/pbs.{job.id} {SPOOL}/aux/{job.id}")
        code = top.process.wait()
        with self.lock:
            if job.ending == "rerun" or (job.ending in ("lost", "other lost") and job.rerunnable):
                job.state = "Q"
                return
            status = code if code >= 0 else 256 - code
            job.exit_status = {"walltime": -29, "lost": -20, "other lost": -14}.get(job.ending, status)
            job.comment = "job exceeded resource walltime" if job.ending == "walltime" else job.comment
            job.state = "F"


class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        request = json.loads(self.rfile.readline())
        out, err, code = commands.answer(self.server.pbs, request)
        try:
            self.wfile.write(json.dumps({"out": out, "err": err, "code": code}).encode())
        except OSError:
            pass


class Socket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def main():
    directory = sys.argv[1]
    pbs = Server(directory, *(float(each) for each in (sys.argv[2:] + ["10", "1", "300"][len(sys.argv) - 2:])))
    here = pathlib.Path(__file__).parent
    for folder in ("bin", "home"):
        (pbs.pbs / folder).mkdir(parents=True)
    # Without the site's packages, which may take longer to import than a command takes.
    for name in commands.COMMANDS:
        command = pbs.pbs / "bin" / name
        command.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S {here}/client.py {pbs.pbs}/socket {name} \"$@\"\n")
        command.chmod(0o755)
    # A site's profile finds the commands, and says hello.
    (pbs.pbs / "home/.bash_profile").write_text(f"export PATH=$PATH:{pbs.pbs}/bin\necho 'Welcome to the cluster!'\n")
    threading.Thread(target=pbs.schedule, daemon=True).start()
    server = Socket(str(pbs.pbs / "socket"), Answer)
    server.pbs = pbs
    server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main()
