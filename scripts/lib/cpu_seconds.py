"""Runs a command and writes its `CPU-seconds wall-seconds`, with all its descendants, to a file.

This process is a subreaper: it inherits descendants whose parents die, so it counts all of them.
"""

import ctypes
import os
import resource
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    result, command = sys.argv[1], sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    begin = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    wall = time.monotonic() - begin
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(result, "w", encoding="ascii") as file:
        print(usage.ru_utime + usage.ru_stime, wall, file=file)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
