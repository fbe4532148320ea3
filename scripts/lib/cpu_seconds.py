"""Runs a command and writes `CPU-seconds wall-seconds` of it and of all its descendants to a file.

As a subreaper this process inherits descendants whose parents die, so that none escapes the count.
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
