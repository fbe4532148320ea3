"""Checks the machine: system, libraries, the program, limits, and the network."""

import glob
import os
import platform
import pwd
import re
import resource
import shutil
import socket
import sys
import tempfile

from .report import ask

# The glibc that the vLLM wheels of scripts/environments need.
GLIBC_OF_ENVIRONMENTS = {"chandra-1": (2, 28), "chandra-2, deepseek": (2, 31)}
# The oldest bash that scripts/lib/check_bash.py allows.
OLDEST_BASH = (4, 2)
# Login shells for which Open MPI can write a remote command (plm_rsh).
KNOWN_SHELLS = ("bash", "zsh", "tcsh", "csh", "ksh", "sh")
# Tesseract models that the stand-in needs: two languages, and the orientation data.
TESSERACT_LANGUAGES = ("fra", "ara", "osd")
# Enough open files for a rank, its renderers and its server.
OPEN_FILES = 4096
PROCESSES = 4096
# Longest socket path that bocr allows; the length of /bocr-UID-HASH/ENGINE-RANK/server-START.sock below TMPDIR.
SOCKET_PATH = 99
SOCKET_FOLDER = 59


def look(page, project):
    """Checks system, interpreters, and tools for environments."""
    page.section("machine")
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    page.good("host", "{}, {} cores for this process, {:.0f} GB memory".format(socket.gethostname(), cores, memory))
    page.good("kernel", "{} {}".format(platform.release(), platform.machine()))
    found = os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    version = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    wanting = [name for name, wanted in sorted(GLIBC_OF_ENVIRONMENTS.items()) if version < wanted]
    if wanting:
        page.note("libc", found, "too old for the packages of {}: serve their models from a container".format(" and ".join(wanting)))
    else:
        page.good("libc", found)
    page.good("python3", "{} ({})".format(platform.python_version(), sys.executable))
    _look_at_shells(page)
    _look_at_environments(page)


def _look_at_shells(page):
    version = ask(["/bin/bash", "--version"])
    found = re.search(r"version (\d+)\.(\d+)", version.text)
    if not version.good or not found:
        page.lack("bash", "/bin/bash: {}".format(version.fault), "jobs need bash {}.{} or later on every node".format(*OLDEST_BASH))
    elif tuple(int(part) for part in found.groups()) < OLDEST_BASH:
        page.lack("bash", version.first, "jobs need bash {}.{} or later on every node".format(*OLDEST_BASH))
    else:
        page.good("bash", version.first)
    shell = pwd.getpwuid(os.getuid()).pw_shell
    if os.path.basename(shell) in KNOWN_SHELLS:
        page.good("login shell", shell)
    else:
        page.note("login shell", shell, "mpirun knows only {}: give a job of several nodes another one".format(", ".join(KNOWN_SHELLS)))


def _look_at_environments(page):
    conda = [tool for tool in ("conda", "mamba") if shutil.which(tool)]
    modules = os.environ.get("MODULESHOME") or os.environ.get("LMOD_DIR")
    page.note("modules", "loaded: " + (os.environ.get("LOADEDMODULES") or "none") if modules else "no environment modules")
    version = ask([conda[0], "--version"]) if conda else None
    if version and version.good:
        page.good("environments", version.first)
    elif version:
        page.note("environments", "{}: {}".format(conda[0], version.fault), "load the module of conda again, or use python3's venv")
    else:
        page.note("environments", "no conda on the PATH", "load the module of conda; without it, scripts/env-* use python3's venv")
    root = os.environ.get("BOCR_ENVIRONMENTS") or os.path.expanduser("~/.local/share/bocr/environments")
    for marker in sorted(glob.glob(os.path.join(root, "*", "bocr-environment"))):
        with open(marker, encoding="utf-8") as file:
            complete = "state = complete" in file.read()
        folder = os.path.dirname(marker)
        if complete:
            page.good("environment", folder)
        else:
            page.note("environment", folder + " is unfinished", "run scripts/env-chandra or scripts/env-deepseek again to finish it")


def look_at_program(page, project, given):
    """Checks the program and the libraries that it loads."""
    page.section("bocr")
    built = str(project / "target" / "release" / "bocr")
    program = given or (built if os.path.exists(built) else shutil.which("bocr"))
    if not program:
        page.lack("bocr", "not built", "run scripts/setup, then cargo build --release; or name the program with --bocr")
    else:
        version = ask([program, "--version"])
        if version.good:
            page.good("bocr", "{} ({})".format(version.last, program))
        else:
            _name_libraries(page, program, version)
    beside = os.path.join(os.path.dirname(os.path.abspath(program)), "libpdfium.so") if program else ""
    places = [os.environ.get("PDFIUM_LIB", ""), beside, str(project / ".deps" / "pdfium" / "libpdfium.so")]
    pdfium = [place for place in places if place and os.path.exists(place)]
    if pdfium:
        page.good("PDFium", pdfium[0])
    else:
        page.lack("PDFium", "no libpdfium.so", "run scripts/setup on a machine with network, or name the library in PDFIUM_LIB")
    _look_at_tesseract(page)
    _look_at_building(page, bool(program))


def _name_libraries(page, program, version):
    libraries = re.findall(r"(\S+) => not found", ask(["ldd", program]).text)
    if libraries:
        page.lack("bocr", "{} does not find {}".format(program, ", ".join(libraries)), "load the modules that bocr was built with (MPI, HDF5)")
    else:
        page.lack("bocr", "{} does not start: {}".format(program, version.fault), "build bocr on this cluster")


def _look_at_tesseract(page):
    listed = ask(["tesseract", "--list-langs"])
    absent = [language for language in TESSERACT_LANGUAGES if language not in listed.text.split()]
    if listed.good and not absent:
        version = ask(["tesseract", "--version"])
        page.good("Tesseract", version.first if version.good else "of unknown version")
    elif listed.good:
        page.note("Tesseract", "without " + ", ".join(absent), "only the stand-in that reads pages, and turned scans, need them: install them, or set TESSDATA_PREFIX")
    else:
        page.note("Tesseract", listed.fault, "only the stand-in that reads pages, and turned scans, need it")


def _look_at_building(page, built):
    libclang = [os.environ.get("LIBCLANG_PATH", "")] + glob.glob("/usr/lib*/libclang.so*") + glob.glob("/usr/lib/llvm-*/lib/libclang*.so*")
    hdf5 = os.environ.get("HDF5_DIR") or next((n for n in ("hdf5", "hdf5-serial") if ask(["pkg-config", "--exists", n]).good), "")
    cargo = ask(["cargo", "--version"])
    parts = {"libclang": any(libclang), "HDF5": bool(hdf5), "mpicc": shutil.which("mpicc"), "a cargo that works": cargo.good}
    absent = sorted(name for name, there in parts.items() if not there)
    if not absent:
        version = "of HDF5_DIR" if os.environ.get("HDF5_DIR") else ask(["pkg-config", "--modversion", hdf5]).first
        page.good("to build it", "{}, HDF5 {}, libclang, mpicc".format(cargo.first, version))
    elif built:
        page.note("to build it", "without " + ", ".join(absent), "needed only to build bocr")
    else:
        page.lack("to build it", "without " + ", ".join(absent), "load their modules, or install them (scripts/setup says how)")


def _shown(limit):
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)


def look_at_limits(page):
    """Checks limits of processes, sockets, ports and proxies."""
    page.section("limits")
    wanted = (("open files", resource.RLIMIT_NOFILE, OPEN_FILES, "ulimit -n"), ("processes", resource.RLIMIT_NPROC, PROCESSES, "ulimit -u"))
    for name, which, least, command in wanted:
        soft, hard = resource.getrlimit(which)
        if soft == resource.RLIM_INFINITY or soft >= least:
            page.good(name, _shown(soft))
        else:
            page.note(name, "{} of at most {}".format(_shown(soft), _shown(hard)), "put `{} {}` into the job's set-up lines".format(command, least))
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    page.note("locked memory", _shown(locked), "" if locked == resource.RLIM_INFINITY else "MPI over InfiniBand needs it unlimited")
    page.good("stack", _shown(stack))
    _look_at_sockets(page)
    proxies = sorted(name for name in os.environ if name.lower() in ("http_proxy", "https_proxy", "all_proxy"))
    if proxies:
        page.note("proxies", ", ".join(proxies) + " set", "bocr does not use them for its own servers")
    else:
        page.good("proxies", "none set")


def _look_at_sockets(page):
    root = tempfile.gettempdir()
    free = shutil.disk_usage(root).free / 1e9
    try:
        with tempfile.TemporaryDirectory(prefix="bocr-site-check-") as folder, socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.join(folder, "s"))
            server.listen(1)
    except OSError as error:
        page.lack("Unix sockets", "{}: {}".format(root, error), "set TMPDIR to a writable folder of this node's own disk")
    else:
        length = len(os.fsencode(root))
        if length + SOCKET_FOLDER > SOCKET_PATH:
            page.note("Unix sockets", "TMPDIR has {} characters ({})".format(length, root), "too long for sockets: bocr will use /tmp")
        else:
            page.good("Unix sockets", "in {}, {:.0f} GB free".format(root, free))
    try:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            page.good("ports", "127.0.0.1 has free ports, e.g. {}".format(server.getsockname()[1]))
    except OSError as error:
        page.lack("ports", "none on 127.0.0.1: {}".format(error), "bring up the loopback interface")


def look_at_network(page, project):
    """Checks whether pip, with its settings, can download Python packages from here."""
    page.section("network")
    pins = project / "scripts" / "lib" / "pdfium-requirements.txt"
    with tempfile.TemporaryDirectory(prefix="bocr-site-check-") as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "--retries", "0", "--timeout", "10"]
        command += ["--only-binary", ":all:", "--require-hashes", "-r", str(pins), "-d", folder]
        answer = ask(command, 60)
    if answer.good:
        page.good("Python packages", "can be downloaded from here")
    elif "No module named pip" in answer.text:
        page.note("Python packages", "this python3 has no pip", "load another Python to check the network")
    else:
        page.note("Python packages", "cannot be downloaded from here", "run scripts/env-* and scripts/models on the login node, or scripts/env-* with --wheels")
