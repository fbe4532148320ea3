"""Checks the file system of the run directory: tries every operation that bocr relies on."""

import errno
import fcntl
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import time

# Seconds. bocr syncs the record of each page. If fsync is slower than this, ranks wait for the disk.
SLOW_FSYNC = 0.05
FSYNCS = 20
LEAST_FREE = 10

# Tries to take a lock that the other process holds. 0: refused. 1: granted. 2: the file system has no such locks.
TAKE = """
import fcntl, sys
lock = fcntl.flock if sys.argv[2] == "flock" else fcntl.lockf
with open(sys.argv[1], "r+b") as file:
    try:
        lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(0)
    except OSError:
        sys.exit(2)
sys.exit(1)
"""


def look(page, place):
    """Tries locks, rename, exclusive creation, mapping and fsync in a new folder below `place`."""
    page.section("folder {}".format(place))
    try:
        trial = tempfile.TemporaryDirectory(prefix=".bocr-site-check-", dir=str(place))
    except OSError as error:
        page.lack("writing", str(error), "name a folder with --folder to which you can write")
        return
    with trial as folder:
        _look_at_space(page, place)
        for kind in ("flock", "fcntl"):
            _look_at_lock(page, folder, kind)
        _look_at_rename(page, folder)
        _look_at_exclusive(page, folder)
        _look_at_mapping(page, folder)
        _look_at_fsync(page, folder)


def _kind_of(place):
    """Type of the file system, from the longest mount point above the folder."""
    best = ("", "unknown")
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, point, kind = line.split()[:3]
            inside = str(place) == point or str(place).startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                best = (point, kind)
    return best[1]


def _look_at_space(page, place):
    free = shutil.disk_usage(str(place)).free / 1e9
    text = "{:.0f} GB free, {}".format(free, _kind_of(place))
    if free < LEAST_FREE:
        page.note("space", text, "a run of the whole corpus needs more: `bocr plan` says how much")
    else:
        page.good("space", text)


def _look_at_lock(page, folder, kind):
    path = os.path.join(folder, kind)
    take = fcntl.flock if kind == "flock" else fcntl.lockf
    with open(path, "w+b") as file:
        try:
            take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            advice = "bocr continues without locks: never start two runs on one RUNDIR" if kind == "flock" else "set HDF5_USE_FILE_LOCKING=FALSE for h5py"
            page.note(kind, "this file system has no such locks ({})".format(error.strerror), advice)
            return
        refused = subprocess.call([sys.executable, "-c", TAKE, path, kind])
    if refused == 0:
        page.good(kind, "holds between processes")
    else:
        page.note(kind, "two processes get the lock at the same time", "never start two runs on one RUNDIR")


def _look_at_rename(page, folder):
    old, new = os.path.join(folder, "old"), os.path.join(folder, "new")
    for path in (old, new):
        with open(path, "w", encoding="utf-8") as file:
            file.write(path)
    try:
        os.replace(old, new)
        with open(new, encoding="utf-8") as file:
            replaced = file.read() == old
    except OSError as error:
        page.lack("rename", error.strerror, "put RUNDIR on another file system")
        return
    if replaced and not os.path.exists(old):
        page.good("rename", "replaces a file in one step")
    else:
        page.lack("rename", "does not replace a file", "put RUNDIR on another file system")


def _look_at_exclusive(page, folder):
    path = os.path.join(folder, "exclusive")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(path, flags, 0o600))
    try:
        os.close(os.open(path, flags, 0o600))
    except FileExistsError:
        page.good("exclusive creation", "the second attempt is refused")
        return
    page.lack("exclusive creation", "succeeds for a file that exists", "put RUNDIR on another file system")


def _look_at_mapping(page, folder):
    path = os.path.join(folder, "mapped")
    with open(path, "w+b") as file:
        file.truncate(mmap.PAGESIZE)
        try:
            with mmap.mmap(file.fileno(), mmap.PAGESIZE) as mapped:
                mapped[:4] = b"bocr"
                mapped.flush()
        except OSError as error:
            page.note("mapping", errno.errorcode.get(error.errno, "failed"), "keep models on another file system: vLLM maps their files")
            return
    with open(path, "rb") as file:
        seen = file.read(4) == b"bocr"
    if seen:
        page.good("mapping", "a mapped file can be written and read")
    else:
        page.note("mapping", "a read does not return the data that was written through a mapping", "keep models on another file system")


def _look_at_fsync(page, folder):
    times = []
    with open(os.path.join(folder, "synced"), "wb") as file:
        for _ in range(FSYNCS):
            file.write(b"x" * 4096)
            file.flush()
            began = time.monotonic()
            os.fsync(file.fileno())
            times.append(time.monotonic() - began)
    times.sort()
    text = "{:.1f} ms at the median, {:.1f} ms at worst of {}".format(times[FSYNCS // 2] * 1e3, times[-1] * 1e3, FSYNCS)
    if times[FSYNCS // 2] > SLOW_FSYNC:
        page.note("fsync", text, "slow: ranks will wait for the disk; use a scratch file system")
    else:
        page.good("fsync", text)
