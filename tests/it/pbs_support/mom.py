"""The fake PBS on one host: starts what belongs to a job there, and ends it by session."""

import os
import pathlib
import signal
import subprocess
import time

# What a real node has in /var/spool/pbs; private to each host here.
SPOOL = "/var/tmp/pbs-spool"
NAMESPACES = ["--net", "--uts", "--ipc", "--pid", "--mount"]
# Exit code of a task whose host is lost.
LOST = 254


class Task:
    """A program that PBS started on a host: the leader of a session of its own."""

    def __init__(self, host, process):
        self.host, self.process = host, process
        self.leader = None
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while self.leader is None and process.poll() is None:
            try:
                self.leader = int(children.read_text().split()[0])
            except (OSError, IndexError):
                time.sleep(0.002)

    def exit_code(self):
        """None while it runs; negative is a signal."""
        return self.process.poll()

    def members(self):
        """Processes of its session."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if self.leader is not None and int(session) == self.leader and state not in "ZX":
                found.append(int(stat.parent.name))
        return found

    def signal(self, number):
        """Tells every process of the session."""
        for process in self.members():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """Until none is left: a process may have begun others meanwhile."""
        while self.members():
            self.signal(signal.SIGKILL)
            time.sleep(0.005)


class Host:
    """One of the hosts of tests/launch_support/hosts, seen from their common process space."""

    def __init__(self, directory, name):
        self.name, self.directory = name, pathlib.Path(directory)
        self.call("mount -t tmpfs tmpfs /var/tmp")

    def _first(self):
        process = int((self.directory / f"{self.name}.pid").read_text())
        return int(pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])

    def alive(self):
        try:
            return pathlib.Path(f"/proc/{self._first()}").exists()
        except (OSError, IndexError):
            return False

    def _enter(self):
        return ["nsenter", "-t", str(self._first()), *NAMESPACES]

    def call(self, script, text=""):
        """Runs a shell script there, as root of the mom."""
        subprocess.run([*self._enter(), "/bin/sh", "-c", script], input=text, text=True, check=True)

    def start(self, words, environment, output, stdin=subprocess.DEVNULL):
        """Starts a program in a session of its own, in the user's home. None when the host is lost."""
        lead = 'cd "$HOME"; exec setsid "$@"'
        try:
            command = [*self._enter(), "/bin/sh", "-c", lead, "sh", *words]
        except (OSError, IndexError):
            return None
        process = subprocess.Popen(command, env=environment, stdin=stdin, stdout=output, stderr=output)
        return Task(self, process)
