"""The page that scripts/site-check prints; runs the commands of the checks."""

import shutil
import subprocess

EXIT_MISSING = 3


class Report:
    """Prints the lines, and counts the missing things."""

    def __init__(self):
        self.missing = 0

    def section(self, title):
        """Begins a section of the page."""
        print("\n{}".format(title), flush=True)

    def _line(self, mark, what, found, remedy=""):
        print("  {:8}{}: {}{}".format(mark, what, found, "; " + remedy if remedy else ""), flush=True)

    def good(self, what, found):
        """Prints a result that suits bocr."""
        self._line("ok", what, found)

    def note(self, what, found, advice=""):
        """Prints a fact that the user should know, or a missing thing that bocr does not need."""
        self._line("note", what, found, advice)

    def lack(self, what, found, remedy):
        """Prints a missing thing without which bocr does not run."""
        self.missing += 1
        self._line("MISSING", what, found, remedy)

    def end(self):
        """Prints the verdict. Returns the exit code."""
        if self.missing:
            print("\n{} missing (see the lines above): bocr cannot run here yet".format(self.missing))
            return EXIT_MISSING
        print("\nnothing is missing: bocr can run here")
        return 0


class Outcome:
    """Output and exit code of a command. `code` is None if the command could not be run or did not end in time."""

    def __init__(self, code, text):
        self.code = code
        self.text = text.strip()

    @property
    def good(self):
        """Whether the command ended with 0."""
        return self.code == 0

    @property
    def fault(self):
        """The reason of the failure, in one line."""
        return self.first or "the command ended with code {}".format(self.code)

    @property
    def first(self):
        """The first line of the output."""
        return self.text.splitlines()[0] if self.text else ""

    @property
    def last(self):
        """The last line of the output."""
        return self.text.splitlines()[-1] if self.text else ""


def ask(command, seconds=15, environment=None):
    """Runs a command without input. Its text includes standard error."""
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
