#!/usr/bin/env python3
"""Checks that the bash scripts of the project work with bash 4.2, the oldest on the clusters.

    check_bash.py [FILE…]    default: every bash script of scripts/ and pbs/. Exit code 0, or 1 with a line for each fault

Until bash 4.4, `set -u` ends a script that expands an empty array. Therefore an array that may be empty must be expanded as
${NAME[@]+"${NAME[@]}"} or ${NAME[*]-}. A comment `# not empty where expanded: NAME NAME` names arrays that are checked.
"""

import pathlib
import re
import sys

# Pattern, version of bash that introduced it, what works in 4.2 too.
NEWER = [
    (r"\bEPOCHSECONDS\b", "5.0", "$(date +%s)"),
    (r"\bEPOCHREALTIME\b", "5.0", "$(date +%s.%N)"),
    (r"\bBASH_ARGV0\b", "5.0", "exec -a"),
    (r"\bSRANDOM\b", "5.1", "RANDOM"),
    (r"\$\{!?\w+(\[[^]]*\])?@[A-Za-z]\}", "4.4", "printf %q"),
    (r"\b(mapfile|readarray)\b[^|;&]*\s-d", "4.4", "read -r -d"),
    (r"\bwait\s+-[fnp]", "4.3", "wait for each process by its id"),
    (r"\b(local|declare|typeset)\s+-[A-Za-z]*n\b", "4.3", "${!name}"),
    (r"\blocal\s+-\s*($|;)", "4.4", "save and restore the option"),
    (r"\binherit_errexit\b", "4.4", "assign the output of the command first"),
    (r"(\[\[|\btest|\[)\s[^]\n]*-v\s+\w+\[", "4.3", "${name[index]+x}"),
    (r"\bunset\s+(-v\s+)?['\"]?\w+\[-", "4.3", "an index from 0"),
    (r"(?<![$\w{])\w+\[-\d+\]=", "4.3", "an index from 0"),
    (r"\$\{\w+\[-\d+\]", "4.3", "${name[${#name[@]} - 1]}"),
    (r"\bprintf\s+-v\s+['\"]?\w+\[", "4.3", "name[index]=$(printf …)"),
    (r"\$\{\w+(\[[^]]*\])?:\s*[\w$]+:\s*-\d", "4.3", "a length from 0"),
    (r"\$'[^']*\\u", "4.2 (with faults)", "the character itself"),
]
COMMENT = re.compile(r"(^|\s)#.*$")
# Each leaves an array empty if there is nothing to put into it.
MAY_BE_EMPTY = re.compile(r"(?<![\w$])(\w+)=\((?:\"\$@\")?\)|\b(?:mapfile|readarray)\s+(?:-\w+\s+)*(\w+)|\bread\s+-\w*a\s+(\w+)")
NOT_EMPTY = re.compile(r"# not empty where expanded: ([\w ]+)")
GUARDED = re.compile(r"\$\{\w+\[[@*]\](?:\+(?:\"\$\{\w+\[[@*]\]\}\"|[^}]*)|:?-[^}]*)\}")
EXPANDED = re.compile(r"\$\{!?(\w+)\[[@*]\]")


def is_bash(path):
    text = path.read_bytes()[:400]
    return text.startswith((b"#!/bin/bash", b"#!/usr/bin/env bash")) or b"# shellcheck shell=bash" in text


def scripts():
    root = pathlib.Path(__file__).resolve().parents[2]
    files = (path for folder in ("scripts", "pbs") for path in sorted((root / folder).rglob("*")))
    return [path for path in files if path.is_file() and is_bash(path)]


def may_be_empty(text):
    checked = {name for names in NOT_EMPTY.findall(text) for name in names.split()}
    return {name for found in MAY_BE_EMPTY.findall(text) for name in found if name} - checked


def faults(text, empty):
    for number, line in enumerate(text.splitlines(), 1):
        code = COMMENT.sub("", line)
        for pattern, version, instead in NEWER:
            if re.search(pattern, code):
                yield number, f"`{code.strip()}` needs bash {version}: use {instead}"
        for name in sorted(set(EXPANDED.findall(GUARDED.sub("", code))) & empty):
            yield number, f'{name} may be empty, which ends bash 4.2 under `set -u`: use ${{{name}[@]+"${{{name}[@]}}"}}'


def main():
    if sys.argv[1:2] in (["--help"], ["-h"]):
        print(__doc__.strip())
        return 0
    texts = {path: path.read_text(encoding="utf-8") for path in map(pathlib.Path, sys.argv[1:] or scripts())}
    # Scripts share the arrays of the libraries that they read.
    shared = {name for path, text in texts.items() if path.suffix == ".bash" for name in may_be_empty(text)}
    wrong = [f"{path}:{number}: {fault}" for path, text in texts.items() for number, fault in faults(text, shared | may_be_empty(text))]
    for line in wrong:
        print(f"check_bash: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
