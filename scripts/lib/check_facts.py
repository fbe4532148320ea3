#!/usr/bin/env python3
"""Checks that every citation of docs/facts names a page and a heading that exist.

    check_facts.py         run it in the root of the repository; exit code 0, or 1 with a line for each wrong citation
"""

import pathlib
import re
import subprocess
import sys

# A citation may continue in the next line of a comment.
BREAK = re.compile(r"\n\s*(?:///|//!|//|#)?\s*")
PAGE = re.compile(r"(?:docs/facts/)?\b([a-z0-9]+\.md)`?, ((?:(?:, | and )?(?:\"[^\"]+\"|'(?:[^']|'(?=s ))+'))+)")
HEADING = re.compile(r"\"([^\"]+)\"|'((?:[^']|'(?=s ))+)'")


def main():
    folder = pathlib.Path("docs/facts")
    headings = {page.name: set(re.findall(r"^## (.+)$", page.read_text(), re.M)) for page in folder.glob("*.md")}
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout.split("\0")
    wrong = []
    for name in filter(None, listed):
        try:
            text = BREAK.sub(" ", pathlib.Path(name).read_text())
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        wrong += [f"{name}: no {page}" for page in re.findall(r"docs/facts/([\w.-]+\.md)", text) if page not in headings]
        for page, cited in PAGE.findall(text):
            for heading in (double or single for double, single in HEADING.findall(cited)):
                if page in headings and heading not in headings[page]:
                    wrong.append(f"{name}: {page} has no heading \"{heading}\"")
    for line in wrong:
        print(f"check_facts: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
