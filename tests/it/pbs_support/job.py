"""A job of the fake PBS: what it asks for, and what qstat says of it."""

import pathlib
import re
import shlex
import time

RESOURCES = {"select", "place", "walltime", "ncpus", "mem", "ngpus", "mpiprocs", "ompthreads", "nodes"}
WITH_VALUE = set("lvWNoqAMmkjrepcaSu")


class Refused(Exception):
    """What qsub says, and its exit code."""

    def __init__(self, message, code=188):
        super().__init__(message)
        self.code = code


def split_commas(text):
    """At commas outside of quotes, which go."""
    return [re.sub(r"""^([^'"]*)(['"])(.*)\2$""", r"\1\3", part) for part in
            re.findall(r"""(?:[^,'"]|'[^']*'|"[^"]*")+""", text)]


def seconds(walltime):
    total = 0
    for part in walltime.split(":"):
        total = 60 * total + int(part)
    return total


def clock(number):
    return "%02d:%02d:%02d" % (number // 3600, number // 60 % 60, number % 60)


class Job:
    def __init__(self, number, arguments, request):
        options, files = self._options(arguments)
        if len(files) != 1:
            raise Refused("qsub: one script is submitted here", 2)
        script = pathlib.Path(request["cwd"], files[0])
        try:
            self.script = script.read_text()
        except OSError as error:
            raise Refused(f"qsub: script file: {error}", 1) from error
        directives = []
        for line in self.script.splitlines():
            if line.startswith("#PBS "):
                directives += shlex.split(line[5:], comments=False)
            elif line and not line.startswith("#"):
                break
        of_script, _ = self._options(directives)
        # The command line wins, and what both say of resources is put together.
        self.resources = {**self.read_resources(of_script.get("l", [])), **self.read_resources(options.get("l", []))}
        if "select" in self.resources and {"ncpus", "ngpus", "mem"} & set(self.resources):
            raise Refused('qsub: "-lresource=" cannot be used with "select" or "place", resource is: ncpus')
        merged = {**of_script, **options}
        last = lambda letter, default: merged.get(letter, [default])[-1]
        self.id, self.name = f"{number}.pbssrv", last("N", script.name)
        self.rerunnable, self.work = last("r", "y") == "y", request["cwd"]
        output = last("o", f"{self.work}/{self.name}.o{number}")
        self.output = f"{output}{self.id}.OU" if output.endswith("/") else output
        self.variables = {}
        for each in split_commas(last("v", "")):
            name, equals, value = each.partition("=")
            # A `$HOME` in it stays as it is.
            self.variables[name] = value if equals else request["environment"].get(name, "")
        # Each attribute of -W by itself.
        attributes = dict(each.partition("=")[::2] for each in of_script.get("W", []) + options.get("W", []))
        self.depend = [part.split(":") for part in attributes.get("depend", "").split(",") if part]
        self.tolerates_lost_nodes = attributes.get("tolerate_node_failures") == "all"
        self.chunks = self._chunks(self.resources.get("select", "1:ncpus=1"))
        self.walltime = seconds(self.resources["walltime"]) if "walltime" in self.resources else None
        self.state, self.comment, self.exit_status, self.run_count = "Q", "", None, 0
        self.hosts, self.tasks, self.started, self.cookie = [], [], None, f"cookie-{number}"
        # Why it is being ended (`delete`, `rerun`, `walltime`, `lost`), and when everything is killed.
        self.ending, self.kill_at = None, None

    @staticmethod
    def _options(words):
        options, files, at = {}, [], 0
        while at < len(words):
            word = words[at]
            if word.startswith("-") and len(word) > 1 and word[1] in WITH_VALUE:
                value = word[2:]
                if not value:
                    at, value = at + 1, words[at + 1]
                options.setdefault(word[1], []).append(value)
            elif not word.startswith("-"):
                files.append(word)
            at += 1
        return options, files

    @staticmethod
    def read_resources(values):
        found = {}
        for value in values:
            for each in value.split(","):
                name, _, said = each.partition("=")
                parts = [name] + [part.split("=")[0] for part in said.split(":")[1:] if name == "select"]
                for part in parts:
                    if part not in RESOURCES:
                        raise Refused(f"qsub: Unknown resource: {part}")
                found[name] = said
        return found

    @staticmethod
    def _chunks(select):
        chunks = []
        for part in select.split("+"):
            count, _, rest = part.partition(":")
            asked = dict(each.split("=") for each in rest.split(":") if each)
            cores = int(asked.get("ncpus", 1))
            chunk = {"ncpus": cores, "mpiprocs": int(asked.get("mpiprocs", 1)), "threads": int(asked.get("ompthreads", cores))}
            chunks += [chunk] * int(count)
        return chunks

    def node_lines(self):
        """$PBS_NODEFILE: one line for each of mpiprocs."""
        return [host for host, chunk in zip(self.hosts, self.chunks) for _ in range(chunk["mpiprocs"])]

    def described(self):
        """Attributes as in `qstat -f`."""
        told = {"Job_Name": self.name, "job_state": self.state, "queue": "workq", "Rerunable": "y" if self.rerunnable else "n"}
        told |= {f"Resource_List.{name}": value for name, value in self.resources.items()}
        if self.started and self.state in "RE":
            # The mom tells only when it looks: every ten seconds at first.
            used = int(time.monotonic() - self.started) // 10 * 10
            if used:
                told["resources_used.walltime"] = clock(used)
        if self.hosts:
            told["exec_host"] = "+".join(f"{host}/0*{chunk['ncpus']}" for host, chunk in zip(self.hosts, self.chunks))
        told |= {"run_count": str(self.run_count), "Output_Path": f"pbssrv:{self.output}"}
        told["Variable_List"] = f"PBS_O_HOME=/root,PBS_O_WORKDIR={self.work},PBS_O_HOST=login"
        if self.comment:
            told["comment"] = self.comment
        if self.exit_status is not None:
            told["Exit_status"] = str(self.exit_status)
        return told
