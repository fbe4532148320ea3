"""As many pages as a run wants, of documents that are all different."""

from __future__ import annotations

import ctypes
import os
import pathlib
from typing import Callable, Iterator


class CorpusError(Exception):
    """There are no pages to read."""


def page_counter(project: pathlib.Path) -> Callable[[pathlib.Path], int]:
    """Counts the pages of a PDF by the library that bocr draws with; 0 for one that it cannot open."""
    path = os.environ.get("PDFIUM_LIB") or project / ".deps/pdfium/libpdfium.so"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise CorpusError(f"cannot load PDFium: {error}; scripts/setup fetches it, or PDFIUM_LIB names it") from error
    library.FPDF_LoadDocument.restype = ctypes.c_void_p
    library.FPDF_LoadDocument.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.FPDF_GetPageCount.argtypes = [ctypes.c_void_p]
    library.FPDF_CloseDocument.argtypes = [ctypes.c_void_p]
    library.FPDF_InitLibrary()

    def count(document: pathlib.Path) -> int:
        handle = library.FPDF_LoadDocument(os.fsencode(document), None)
        if not handle:
            return 0
        pages = library.FPDF_GetPageCount(handle)
        library.FPDF_CloseDocument(handle)
        return pages

    return count


Documents = list[tuple[pathlib.Path, int]]


def gather(source: pathlib.Path, copies: pathlib.Path, pages: int, count: Callable[[pathlib.Path], int]) -> Documents:
    """Documents with at least so many pages together, each with its number of pages. Those of `source` come first; where
    they do not suffice, copies of them go into the folder `copies`, each with a comment of its own, so that no two are the
    same bytes."""
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".pdf")
    originals = [(path.resolve(), number) for path in found if (number := count(path)) > 0]
    if not originals:
        raise CorpusError(f"{source} holds no PDF file with pages")
    documents, total = [], 0
    for path, number in _documents(originals, copies):
        documents.append((path, number))
        total += number
        if total >= pages:
            return documents
    return documents


def _documents(originals: Documents, copies: pathlib.Path) -> Iterator[tuple[pathlib.Path, int]]:
    yield from originals
    turn = 0
    while True:
        turn += 1
        for at, (original, number) in enumerate(originals):
            copy = copies / f"{original.stem}_{at}_{turn:04}.pdf"
            if not copy.exists():
                copies.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(original.read_bytes() + f"\n% copy {turn}\n".encode())
            yield copy.resolve(), number


def first(documents: Documents, pages: int) -> tuple[list[pathlib.Path], int]:
    """The fewest of the documents, from the first on, that have so many pages, and how many pages they have."""
    taken, total = [], 0
    for path, number in documents:
        if total >= pages:
            break
        taken.append(path)
        total += number
    return taken, total
