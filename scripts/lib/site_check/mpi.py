"""Checks MPI: family, version, support of PBS, and whether it starts ranks."""

import os
import shutil

from .report import ask


def look(page, mpirun):
    """Checks mpirun."""
    page.section("MPI")
    path = shutil.which(mpirun)
    if not path:
        page.lack("mpirun", "none ({})".format(mpirun), "load the MPI module that bocr was built with, or name mpirun with --mpirun")
        return
    version = ask([path, "--version"])
    if "Open MPI" in version.text:
        page.good("mpirun", "{} ({})".format(version.first, path))
        _look_at_open_mpi(page, path)
        _start(page, [path, "--oversubscribe", "--bind-to", "none", "--host", "localhost:2", "-n", "2"])
    elif "HYDRA" in version.text:
        page.good("mpirun", "MPICH, {} ({})".format(" ".join(version.text.split()[:5]), path))
        page.note("PBS support", "MPICH starts ranks on other hosts by ssh or an agent", "scripts/pbs-job chooses one of them")
        _start(page, [path, "-n", "2"])
    else:
        page.lack("mpirun", "neither Open MPI nor MPICH: {}".format(version.first), "load the module of Open MPI or MPICH, or name mpirun with --mpirun")


def _look_at_open_mpi(page, path):
    for name in ("ompi_info", "prte_info"):
        info = os.path.join(os.path.dirname(path), name)
        if os.access(info, os.X_OK) and "plm:tm:" in ask([info, "--parsable"]).text:
            page.good("PBS support", "Open MPI supports PBS (tm)")
            return
    page.note("PBS support", "this Open MPI does not support PBS", "scripts/pbs-job starts ranks by pbs_tmrsh or ssh")


def _start(page, command):
    environment = dict(os.environ)
    if os.geteuid() == 0:
        environment.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    started = ask(command + ["hostname"], 30, environment)
    if started.good:
        page.good("two ranks", "start on this host")
    else:
        page.lack("two ranks", "do not start on this host: {}".format(started.last), "try `{} hostname`".format(" ".join(command)))
