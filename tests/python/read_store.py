"""Reads a run directory with plain h5py and compares every page with the JSONL export.

usage: read_store.py RUN_DIRECTORY EXPORT_DIRECTORY [--time READS]

Exit status 0 when text, blocks, attempts and provenance agree, 1 with the differences on standard error otherwise.
With --time it also reads that many random pages (row and text, file opened before) and prints the time of one.
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import time
from pathlib import Path

import h5py


class Shard:
    """A shard: tables whole, text by span."""

    def __init__(self, group):
        self.text = group["text"]
        self.pages = group["pages"]
        self.parts = group["parts"][:]
        self.blocks = group["blocks"][:]
        self.attempts = group["attempts"][:]
        self.labels = group["labels"].asstr()[:]
        self.engines = group["engines"][:]
        self.codes = json.loads(group.attrs["codes"])
        self.attributes = dict(group.attrs)

    def span(self, offset, length):
        return self.text[int(offset) : int(offset) + int(length)].tobytes().decode()

    def name(self, kind, code):
        return None if code == 0 else self.codes[kind][str(code)]

    def checked(self, document, row):
        """A row of /pages, its parts and its attempts."""
        page = self.pages[row]
        text = self.text[int(page["text_offset"]) : int(page["text_offset"]) + int(page["text_length"])].tobytes()
        digest = int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
        assert digest == page["sha64"], f"{document} page {page['page'] + 1}: checksum of the text"
        first, count = int(page["first_part"]), int(page["parts"])
        parts = self.parts[first : first + count]
        assert all(parts["page_row"] == row)
        first, count = int(page["first_attempt"]), int(page["attempts"])
        attempts = self.attempts[first : first + count]
        assert all(attempts["page_row"] == row)
        return page, parts, [self.attempt(attempt) for attempt in attempts]

    def lines(self, document, row, other, text_row):
        """The lines that the export should have for a row of /pages whose text is in a row of another shard."""
        page, _, attempts = self.checked(document, row)
        text, parts, gave = other.checked(document, text_row)
        gave = [gave[part["attempt"]] for part in parts]
        known = {attempt["request_id"] for attempt in attempts}
        attempts += [attempt for attempt in gave if attempt["request_id"] not in known]
        for attempt in attempts:
            attempt["kept"] = attempt["request_id"] in {attempt["request_id"] for attempt in gave}
        block = int(text["first_block"])
        last = max(len(parts), 1) - 1
        places = [corners(part) for part in parts]
        line_of = lambda attempt: max(range(len(places)), key=lambda line: shared(places[line], attempt["bbox"]), default=0)
        for index in range(last + 1):
            part = parts[index] if len(parts) else None
            by = gave[index] if len(parts) else None
            line = {
                "document": document,
                "page": int(page["page"]) + 1,
                "part": index,
                "text": other.span(part["markdown_offset"], part["markdown_length"]) if part is not None else "",
                "html": other.span(part["html_offset"], part["html_length"]) if part is not None else "",
                "blocks": [],
                "verdict": self.name("verdict", page["verdict"]),
                "class": self.name("class", page["class"]),
                "reason": self.span(page["reason_offset"], page["reason_length"]),
                "partial": self.name("verdict", page["verdict"]) == "failed" and part is not None,
                "engine": by["engine"] if by else page["engine"].decode() or None,
                "server": by["server"] if by else self.name("server", page["server"]),
                "language": self.codes["language"][str(text["language"])],
                "bbox": corners(part) if part is not None else None,
                "image": None,
                "layout": None,
                "rank": int(page["rank"]),
                "lease": int(page["lease"]),
                "settled_unix_ms": int(page["settled_unix_ms"]),
                "attempts": [attempt for attempt in attempts if line_of(attempt) == index],
            }
            if page["has_image"]:
                line["image"] = {
                    "width": int(page["width"]),
                    "height": int(page["height"]),
                    "dpi": float(page["dpi"]),
                    "grey": bool(page["grey"]),
                    "ink": float(page["ink"]),
                    "bytes": int(page["encoded_bytes"]),
                }
                divide = ["divide_x_top", "divide_top", "divide_x_bottom", "divide_bottom"]
                line["layout"] = {
                    "turn": int(page["turn"]),
                    "skew": page["skew"] / 100 if page["has_skew"] else None,
                    "straightened": bool(page["straightened"]),
                    "cleaned": bool(page["cleaned"]),
                    "script": self.codes["language"][str(page["script"])],
                    "columns": {
                        "reason": self.codes["columns_reason"][str(page["columns_reason"])],
                        "confidence": page["columns_confidence"] / 100,
                        "divide": [int(page[name]) for name in divide] if page["divided"] else None,
                    },
                }
            if part is not None:
                rows = other.blocks[block : block + int(part["blocks"])]
                assert all(rows["page_row"] == text_row) and all(rows["part"] == index)
                line["blocks"] = [other.block(b) for b in rows]
                block += len(rows)
            yield line

    def block(self, row):
        return {
            "label": self.labels[row["label"]],
            "bbox": corners(row) if row["has_box"] else None,
            "html": self.span(row["html_offset"], row["html_length"]),
        }

    def attempt(self, row):
        engine = self.engines[row["served_by"]]
        return {
            "engine": engine["engine"].decode(),
            "server": self.name("server", engine["server"]),
            "profile": engine["profile"].decode(),
            "model": engine["model"].decode(),
            "version": engine["version"].decode(),
            "dialect": engine["dialect"].decode(),
            "prompt_sha256": engine["prompt_sha256"].decode(),
            "request": engine["request"].decode(),
            "request_id": self.span(row["request_id_offset"], row["request_id_length"]),
            "visit": self.name("visit", row["visit"]),
            "view": self.name("view", row["view"]),
            "part": int(row["part"]),
            "bbox": corners(row),
            "turn": int(row["turn"]),
            "skew": row["skew"] / 100,
            "width": int(row["width"]),
            "height": int(row["height"]),
            "rank": int(row["rank"]),
            "outcome": self.name("outcome", row["outcome"]),
            "class": self.name("class", row["class"]),
            "fault": self.name("fault", row["fault"]),
            "finish": self.name("finish", row["finish"]),
            "step": int(row["step"]),
            "temperature": float(row["temperature"]),
            "top_p": float(row["top_p"]),
            "salted": bool(row["salted"]),
            "repeats": int(row["repeats"]),
            "max_tokens": int(row["max_tokens"]),
            "prompt_tokens": int(row["prompt_tokens"]),
            "completion_tokens": int(row["completion_tokens"]),
            "started_unix_ms": int(row["started_unix_ms"]),
            "first_token_seconds": row["first_token_us"] / 1e6 if row["first_token_us"] >= 0 else None,
            "seconds": row["duration_us"] / 1e6,
            "kept_characters": int(row["kept_characters"]),
            "reason": self.span(row["reason_offset"], row["reason_length"]),
        }


def shared(one, other):
    """Area that two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


def corners(row):
    return [int(row[side]) for side in ("left", "top", "right", "bottom")]


def exported(directory):
    """Lines of the export by (document, page, part)."""
    lines = {}
    for path in sorted((directory / "jsonl").rglob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").split("\n"):
            if text:
                line = json.loads(text)
                lines[line["document"], line["page"], line["part"]] = line
    return lines


def differences(expected, found, where=""):
    """Paths at which two JSON values differ; numbers may differ by float32's precision."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        return [d for key in expected for d in differences(expected[key], found[key], f"{where}.{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}[{i}]")]
    if isinstance(expected, float) and isinstance(found, (int, float)) and abs(expected - found) < 1e-6 * abs(expected):
        return []
    return [] if expected == found else [f"{where}: h5py {expected!r}, export {found!r}"]


def time_reads(shards, index, reads):
    """Median seconds of reading one random page: its row, then its text."""
    seconds = []
    for _ in range(reads):
        entry = index[random.randrange(len(index))]
        shard = shards[entry["shard"]]
        start = time.perf_counter()
        page = shard.pages[int(entry["row"])]
        shard.span(page["text_offset"], page["text_length"])
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), statistics.mean(seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run_directory", type=Path)
    parser.add_argument("export_directory", type=Path, nargs="?")
    parser.add_argument("--time", type=int, metavar="READS")
    arguments = parser.parse_args()

    problems, pages = [], 0
    with h5py.File(arguments.run_directory / "catalogue.h5") as catalogue:
        names = {int(row["id"]): row["name"].decode() for row in catalogue["documents"][:]}
        shards = [
            Shard(catalogue["links"][row["name"].decode().removesuffix(".h5")]) for row in catalogue["shards"][:]
        ]
        index = catalogue["index"][:]
        if arguments.time:
            median, mean = time_reads(shards, index, arguments.time)
            print(f"a random page by h5py: median {median * 1e3:.3f} ms, mean {mean * 1e3:.3f} ms (bar: 1.5 ms)")
        if arguments.export_directory:
            lines = exported(arguments.export_directory)
            for entry in index:
                shard, document = shards[entry["shard"]], names[int(entry["document"])]
                pages += 1
                text = (shards[entry["text_shard"]], int(entry["text_row"]))
                for expected in shard.lines(document, int(entry["row"]), *text):
                    found = lines.pop((document, expected["page"], expected["part"]), None)
                    where = f"{document} page {expected['page']} part {expected['part']}"
                    problems += [f"{where}{d}" for d in differences(expected, found)]
            problems += [f"{document} page {page}: only in the export" for document, page, _ in lines]
            for shard in shards:
                for key in ("run_id", "configuration", "program_version"):
                    if not shard.attributes.get(key):
                        problems.append(f"a shard has no {key}")
            print(f"{pages} pages of {len(shards)} shards compared, {len(problems)} differences")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
