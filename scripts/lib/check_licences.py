#!/usr/bin/env python3
"""Checks that every dependency has a licence of the list in deny.toml.

    check_licences.py         run it in the root of the repository; exit code 0, or 1 with a line for each dependency without one

It gets the dependencies on Linux (x86_64) from `cargo metadata`. .ci/run has downloaded them before.
"""

import json
import pathlib
import re
import subprocess
import sys


def allowed():
    """The names in `allow` of deny.toml. Uses no tomllib: it came with Python 3.11."""
    text = pathlib.Path("deny.toml").read_text()
    return set(re.findall(r'"([^"]+)"', re.search(r"^allow = \[(.*?)^\]", text, re.M | re.S)[1]))


def holds(expression, names):
    """Whether the licences in `names` satisfy an SPDX expression. OR needs one side, AND needs both."""
    # Old packages write "MIT/Apache-2.0" where SPDX writes OR.
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def either():
        met = both()
        while tokens[:1] == ["OR"]:
            tokens.pop(0)
            met = both() or met
        return met

    def both():
        met = one()
        while tokens[:1] == ["AND"]:
            tokens.pop(0)
            met = one() and met
        return met

    def one():
        token = tokens.pop(0)
        if token == "(":
            met = either()
            tokens.pop(0)
            return met
        if tokens[:1] == ["WITH"]:
            token = f"{token} WITH {tokens[1]}"
            del tokens[:2]
        return token in names

    return either()


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    packages = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    names = allowed()
    refused = [package for package in packages if not holds(package["license"] or "none", names)]
    for package in refused:
        licence = package["license"] or "no licence named"
        print(f"check_licences: {package['name']} {package['version']}: {licence}: not in deny.toml: add the licence there, or use another package", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
