"""Checks whether the environment of this interpreter can serve a model. Part of scripts/env-chandra and scripts/env-deepseek.

    python check_environment.py REQUIREMENTS ARCHITECTURE ENGINE

Exit codes: 0 it can; 3 it cannot; stderr has the reason.
"""

import importlib.metadata
import os
import re
import shutil
import sys

# The packages that the server needs.
ESSENTIAL = ("vllm", "torch", "transformers", "huggingface-hub", "chandra-ocr")


def stop(message):
    print(f"check: {message}", file=sys.stderr)
    sys.exit(3)


def pinned(requirements):
    """Version by name, of the packages that are pinned for all versions of Python."""
    with open(requirements, encoding="utf-8") as file:
        return dict(re.findall(r"^([\w.-]+)==(\S+) \\$", file.read(), re.MULTILINE))


def main():
    requirements, architecture, engine = sys.argv[1:]
    versions = pinned(requirements)
    for name in ESSENTIAL:
        if name not in versions:
            continue
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            stop(f"{name} is not installed: delete the environment and make it again")
        if found.split("+")[0] != versions[name]:
            stop(f"{name} is {found}, not {versions[name]}: another installation replaced it: delete the environment and make it again")

    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    import torch
    from vllm.model_executor.models.registry import ModelRegistry

    if architecture not in ModelRegistry.get_supported_archs():
        stop(f"vLLM {versions['vllm']} does not know the model class {architecture}: delete the environment and make it again")
    if engine == "deepseek":
        # The launch command names this class as --logits-processors.
        from vllm.model_executor.models.deepseek_ocr import NGramPerReqLogitsProcessor

        assert NGramPerReqLogitsProcessor
    for program in ("vllm", "hf"):
        path = shutil.which(program)
        if not path or not path.startswith(sys.prefix):
            stop(f"`{program}` on the PATH is {path}, not the environment's own: delete the environment and make it again")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "this machine has no GPU to try it on"
    print(
        f"check: vLLM {versions['vllm']} with {architecture}, torch {torch.__version__} (CUDA {torch.version.cuda}), "
        f"transformers {versions['transformers']}; {gpu}"
    )


if __name__ == "__main__":
    main()
