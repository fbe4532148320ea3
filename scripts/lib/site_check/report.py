"""The page that scripts/site-check prints, and running the commands that it asks."""

import shutil
import subprocess

EXIT_MISSING = 3


class Report:
    """Lines as they are found, and how many things are missing."""

    def __init__(self):
        self.missing = 0

    def section(self, title):
        """Begins a part of the page."""
        print("\n{}".format(title), flush=True)

    def _line(self, mark, what, found, remedy=""):
        print("  {:8}{}: {}{}".format(mark, what, found, "; " + remedy if remedy else ""), flush=True)

    def good(self, what, found):
        """Something that is as bocr wants it."""
        self._line("ok", what, found)

    def note(self, what, found, advice=""):
        """Something that bocr runs without, or that the user should know."""
        self._line("note", what, found, advice)

    def lack(self, what, found, remedy):
        """Something without which bocr does not run."""
        self.missing += 1
        self._line("MISSING", what, found, remedy)

    def end(self):
        """Prints the verdict; the exit code."""
        if self.missing:
            print("\n{} missing (above): bocr cannot run here yet".format(self.missing))
            return EXIT_MISSING
        print("\nnothing is missing: bocr can run here")
        return 0


class Outcome:
    """What a command said. `code` is None where it could not be run or did not end in time."""

    def __init__(self, code, text):
        self.code = code
        self.text = text.strip()

    @property
    def good(self):
        """Whether it ended with 0."""
        return self.code == 0

    @property
    def fault(self):
        """Why it is not good, in a line."""
        return self.first or "it ended with code {}".format(self.code)

    @property
    def first(self):
        """Its first line."""
        return self.text.splitlines()[0] if self.text else ""

    @property
    def last(self):
        """Its last line."""
        return self.text.splitlines()[-1] if self.text else ""


def ask(command, seconds=15, environment=None):
    """Runs a command without input, standard error included in its text."""
    if shutil.which(command[0]) is None:
        return Outcome(None, "no {} on the PATH".format(command[0]))
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(None, "no answer within {} s".format(seconds))
    except OSError as error:
        return Outcome(None, str(error))
    return Outcome(done.returncode, done.stdout.decode("utf-8", "replace"))
