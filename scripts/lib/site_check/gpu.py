"""Checks the GPUs: driver, ids, memory, use by other processes, and the GPUs that the job sees."""

import os

from .report import ask

# The oldest driver that runs CUDA 12 (NVIDIA, CUDA Compatibility: minor version compatibility).
OLDEST_DRIVER = (525, 60)


def look(page):
    """Checks the GPUs with nvidia-smi."""
    page.section("GPUs")
    query = "--query-gpu=index,uuid,name,memory.total,memory.used,driver_version,mig.mode.current"
    shown = ask(["nvidia-smi", query, "--format=csv,noheader,nounits"])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not shown.good:
        page.note("GPUs", shown.first or "nvidia-smi failed", "this machine has no GPU: usual for a login node; the stand-in needs none")
        return
    rows = [[part.strip() for part in line.split(",")] for line in shown.text.splitlines()]
    rows = [row for row in rows if len(row) == 7]
    for index, uuid, name, total, used, _, mig in rows:
        text = "{} {}, {} of {} MiB used ({})".format(index, name, used, total, uuid)
        if mig == "Enabled":
            page.note("GPU", text, "MIG is on: list its instances in node.gpus")
        elif used.isdigit() and int(used) > 1024:
            page.note("GPU", text, "another process uses it")
        else:
            page.good("GPU", text)
    if rows:
        _look_at_driver(page, rows[0][5])
    _look_at_visible(page, visible, rows)
    _look_at_compiler(page)


def _look_at_compiler(page):
    compiler = ask(["nvcc", "--version"])
    if compiler.good:
        page.good("nvcc", compiler.last)
    else:
        page.note("nvcc", compiler.fault, "vLLM compiles some kernels of newer models at their first use: load the module of CUDA in `activate`")


def _look_at_driver(page, driver):
    parts = tuple(int(part) for part in driver.split(".")[:2] if part.isdigit())
    if parts >= OLDEST_DRIVER:
        page.good("driver", driver)
    else:
        page.lack("driver", driver, "vLLM's CUDA 12 needs {}.{} or later: ask the site for a newer driver, or use other nodes".format(*OLDEST_DRIVER))


def _look_at_visible(page, visible, rows):
    if visible is None:
        page.note("CUDA_VISIBLE_DEVICES", "not set", "each rank takes the GPU of its local rank: for jobs that share a node, set node.gpus or ask for whole nodes")
        return
    ids = [entry.strip() for entry in visible.split(",") if entry.strip()]
    known = {row[0] for row in rows} | {row[1] for row in rows}
    strange = [entry for entry in ids if not any(name == entry or (entry.startswith("GPU-") and name.startswith(entry)) for name in known)]
    if not ids:
        page.note("CUDA_VISIBLE_DEVICES", "set, but empty", "the job has no GPU: ask for ngpus in its select line")
    elif strange:
        page.note("CUDA_VISIBLE_DEVICES", visible, "nvidia-smi does not know {} (MIG instances are not listed)".format(", ".join(strange)))
    else:
        page.good("CUDA_VISIBLE_DEVICES", visible)
