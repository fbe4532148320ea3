"""Tells whether the environment that runs this can serve a model. Part of scripts/env-chandra and scripts/env-deepseek.

    python check_environment.py REQUIREMENTS ARCHITECTURE ENGINE

Exit codes: 0 it can; 3 it cannot, and why is on stderr.
"""

import importlib.metadata
import os
import re
import shutil
import sys

# The names of the packages that the server is made of.
ESSENTIAL = ("vllm", "torch", "transformers", "huggingface-hub", "chandra-ocr")


def stop(message):
    print(f"check: {message}", file=sys.stderr)
    sys.exit(3)


def pinned(requirements):
    """Versions by name, of the packages that are pinned in any case."""
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
            stop(f"{name} is not installed")
        if found.split("+")[0] != versions[name]:
            stop(f"{name} is {found}, not {versions[name]}: something else was installed over it; delete the environment and make it anew")

    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    import torch
    from vllm.model_executor.models.registry import ModelRegistry

    if architecture not in ModelRegistry.get_supported_archs():
        stop(f"vLLM {versions['vllm']} does not know the model class {architecture}")
    if engine == "deepseek":
        # What the launch command names as --logits-processors.
        from vllm.model_executor.models.deepseek_ocr import NGramPerReqLogitsProcessor

        assert NGramPerReqLogitsProcessor
    for program in ("vllm", "hf"):
        path = shutil.which(program)
        if not path or not path.startswith(sys.prefix):
            stop(f"`{program}` is not the environment's own, but {path}")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU here to try it on"
    print(
        f"check: vLLM {versions['vllm']} with {architecture}, torch {torch.__version__} (CUDA {torch.version.cuda}), "
        f"transformers {versions['transformers']}; {gpu}"
    )


if __name__ == "__main__":
    main()
