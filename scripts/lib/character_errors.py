"""Measures the character error rate of a run's pages, from the output of `bocr export --format jsonl`, against reference text.

The rate is the edit distance divided by the number of reference characters. Before that, both texts are normalised: NFKC;
no Arabic vowel signs, tatweel and direction marks; one form of quotes and of dashes; a dot leader of any length is one
character; no blanks around punctuation; French without case, because the reference has small capitals in the wrong case
(the column "with case" keeps the case).
The reference omits the header band, the upper 8.6 % of the page. Therefore the answer omits two kinds of blocks: those whose
label is a running head, and those that begin in the band and are no taller than two lines of print. All characters of a page
that was not read count as wrong.
"""

import argparse
import csv
import html
import json
import pathlib
import re
import statistics
import sys
import unicodedata

from rapidfuzz.distance import Levenshtein

# Thousandths of the page's height.
HEADER_BAND = 86
TWO_LINES = 30
# Values of the column `use` whose reference text is compared by character: good text; text with more than 3 % of its characters
# from a broken font; text that was written by hand from a scan.
COMPARED = ("cer", "cer-flagged", "hand")

QUOTES = dict.fromkeys(map(ord, "«»“”„‟‹›\"'’‘‚‛`´"), "'")
DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
NOT_COMPARED = re.compile(
    "[\u00ad\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0640\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
BLOCK_END = re.compile(r"<(?:br|hr|/p|/div|/t[dhr]|/li|/h[1-6])\b[^>]*>", re.IGNORECASE)
TAG = re.compile(r"<[^>]+>")


def normalised(text: str, language: str, keep_case: bool = False) -> str:
    """The normalised form of a text. French loses its case unless `keep_case` is true."""
    # This must come before NFKC: NFKC turns a spacing acute accent into a blank and a combining accent.
    text = text.translate(QUOTES).translate(DASHES)
    text = NOT_COMPARED.sub("", unicodedata.normalize("NFKC", text)).translate(DASHES)
    text = re.sub(r"(?:[.·_]\s*){3,}", "…", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ?([^\w\s]) ?", r"\1", text)
    text = re.sub("'+", "'", text).strip()
    return text.casefold() if language == "fr" and not keep_case else text


def plain_text(inner_html: str) -> str:
    """The text of a block, with blanks between cells, lines and paragraphs."""
    return html.unescape(TAG.sub("", BLOCK_END.sub(" ", inner_html)))


def is_running_head(block: dict) -> bool:
    """Whether a block lies in the header band, which the reference omits."""
    if block["label"] in ("Page-Header", "Page-Footer"):
        return True
    if block["bbox"] is None:
        return False
    _, top, _, bottom = block["bbox"]
    return top < HEADER_BAND and bottom - top <= TWO_LINES


def answers(export: pathlib.Path) -> dict[tuple[str, int], str]:
    """Text of each page in reading order, with its parts joined, by file name and page."""
    pages: dict[tuple[str, int], list[tuple[int, str]]] = {}
    lines = (line for path in sorted((export / "jsonl").rglob("*.jsonl")) for line in path.open(encoding="utf-8"))
    for part in map(json.loads, lines):
        blocks = [plain_text(block["html"]) for block in part["blocks"] if not is_running_head(block)]
        text = "\n".join(blocks) if part["blocks"] else part["text"]
        key = (pathlib.PurePath(part["document"]).name, part["page"])
        pages.setdefault(key, []).append((part["part"], text))
    return {key: "\n".join(text for _, text in sorted(parts)) for key, parts in pages.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=pathlib.Path, help="folder that bocr export wrote")
    parser.add_argument("truth", type=pathlib.Path, help="folder with the reference text")
    parser.add_argument("index", type=pathlib.Path, help="its table: file, page, lang, use, text")
    parser.add_argument("--worst", type=int, default=3, help="number of worst pages to list")
    arguments = parser.parse_args()

    read = answers(arguments.export)
    documents = {name for name, _ in read}
    rows: dict[tuple[str, str], list[tuple[float, int, int, int, str]]] = {}
    with arguments.index.open(encoding="utf-8") as index:
        for row in csv.DictReader(index, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["use"] not in COMPARED or row["file"] not in documents:
                continue
            language, page = row["lang"], int(row["page"])
            truth = arguments.truth / pathlib.PurePath(row["text"]).relative_to("truth")
            reference_text, answer_text = truth.read_text(encoding="utf-8"), read.get((row["file"], page), "")
            reference = normalised(reference_text, language)
            errors = Levenshtein.distance(reference, normalised(answer_text, language))
            with_case = Levenshtein.distance(*(normalised(text, language, True) for text in (reference_text, answer_text)))
            rows.setdefault((row["use"], language), []).append(
                (errors / len(reference), errors, len(reference), with_case, f"{row['file']} p.{page}")
            )
    if not rows:
        print("measure-cer: no page of the run has reference text: check that INDEX.tsv lists the files of this run", file=sys.stderr)
        return 2
    print("use          language  pages  characters  CER total  CER median  with case  worst pages")
    for (use, language), pages in sorted(rows.items()):
        pages.sort(reverse=True)
        errors, characters, with_case = (sum(column) for column in list(zip(*pages))[1:4])
        worst = ", ".join(f"{name} {rate:.1%}" for rate, *_, name in pages[: arguments.worst])
        median = statistics.median(rate for rate, *_ in pages)
        print(
            f"{use:11}  {language:8}  {len(pages):5}  {characters:10}  {errors / characters:9.2%}  {median:10.2%}"
            f"  {with_case / characters:9.2%}  {worst}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
