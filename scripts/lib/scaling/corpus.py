"""Provides a given number of pages, in documents that all differ."""

from __future__ import annotations

import ctypes
import os
import pathlib
from typing import Callable, Iterator


class CorpusError(Exception):
    """The input has no pages, or PDFium cannot be loaded."""


def page_counter(project: pathlib.Path) -> Callable[[pathlib.Path], int]:
    """Counts the pages of a PDF with PDFium, as bocr does; 0 if PDFium cannot open the file."""
    path = os.environ.get("PDFIUM_LIB") or project / ".deps/pdfium/libpdfium.so"
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise CorpusError(f"cannot load PDFium: {error}; fetch it with scripts/setup, or name it in PDFIUM_LIB") from error
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
    """Documents with at least `pages` pages together, each with its number of pages. Documents of `source` come first. If they
    have too few pages, copies of them go into the folder `copies`. Each copy has its own comment, so that no two documents
    have the same bytes."""
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".pdf")
    originals = [(path.resolve(), number) for path in found if (number := count(path)) > 0]
    if not originals:
        raise CorpusError(f"{source} has no PDF file with pages: name another folder with --input")
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
    """The fewest first documents that have at least `pages` pages, and their number of pages."""
    taken, total = [], 0
    for path, number in documents:
        if total >= pages:
            break
        taken.append(path)
        total += number
    return taken, total
