"""Makes the page images of scripts/measure-images that bocr does not make, and compares all images.

    page_images.py package EVERY PDF…      images of the chandra-ocr package 0.2.0; prints TSV
    page_images.py replaced EVERY PDF…     images by the method of the replaced scripts; prints TSV
    page_images.py costs FOLDER TSV TSV    prints the costs of bocr, the package and the replaced scripts, for each file
    page_images.py compare EVERY PARITY DIRECT PDF…   compares the images of these two folders with those of the package

FOLDER, PARITY and DIRECT are outputs of `bocr page`, with one folder for each file. The times of the package and of the
replaced scripts are CPU times of this process. Needs chandra-ocr, numpy and PyMuPDF.
"""

import csv
import ctypes
import io
import json
import math
import statistics
import sys
import time
from pathlib import Path

import numpy
import pymupdf
import pypdfium2
import pypdfium2.raw as pdfium
from chandra.input import load_pdf_images
from chandra.model.util import scale_to_fit
from PIL import Image

COLUMNS = "file page width height render_us encode_us bytes tokens".split()
CELL = 32
# Most pixels on the server: the bound of the launch command for Chandra 2, and vLLM's default for the replaced scripts.
CHANDRA_MOST, VLLM_MOST = 6_291_456, 16_777_216


def server_size(width, height, most=CHANDRA_MOST):
    """The size to which vLLM's processor scales an image (`smart_resize` of Qwen3-VL)."""
    across, down = (max(CELL, round(side / CELL) * CELL) for side in (width, height))
    if across * down > most:
        shrink = math.sqrt(width * height / most)
        across, down = (max(CELL, math.floor(side / shrink / CELL) * CELL) for side in (width, height))
    return across, down


def tokens(size, most=CHANDRA_MOST):
    across, down = server_size(*size, most)
    return across * down // (CELL * CELL)


def png(image):
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def pages(paths, every):
    for path in map(Path, paths):
        for index in range(0, len(pypdfium2.PdfDocument(path)), every):
            yield path, index


def as_tsv(draw, every, paths):
    """`draw(path, index)` returns the images of a page, the end of rendering, the PNGs, and the most pixels on the server."""
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for path, index in pages(paths, every):
        began = time.process_time()
        images, drawn, files, most = draw(path, index)
        ended = time.process_time()
        writer.writerow([path.stem, index + 1, *images[0].size, int((drawn - began) * 1e6), int((ended - drawn) * 1e6),
                         sum(map(len, files)), sum(tokens(image.size, most) for image in images)])


def package(path, index):
    image = scale_to_fit(load_pdf_images(str(path), [index])[0])
    drawn = time.process_time()
    return [image], drawn, [png(image)], CHANDRA_MOST


def replaced(path, index):
    """PyMuPDF at zoom 4 into a PNG. The PNG is read again and halved; both halves are enlarged to twice their size."""
    page = pymupdf.open(path)[index]
    whole = Image.open(io.BytesIO(page.get_pixmap(matrix=pymupdf.Matrix(4, 4)).tobytes("png"))).convert("RGB")
    middle = whole.width // 2
    halves = [whole.crop((0, 0, middle, whole.height)), whole.crop((middle, 0, whole.width, whole.height))]
    halves = [half.resize((2 * half.width, 2 * half.height), Image.Resampling.BICUBIC) for half in halves]
    drawn = time.process_time()
    return halves, drawn, [png(half) for half in halves], VLLM_MOST


def rows_by_file(path):
    rows = {}
    for row in csv.DictReader(open(path), delimiter="\t"):
        rows.setdefault(row["file"], []).append(row)
    return rows


def rows_of_bocr(folder):
    """The lines of `bocr page`, with the columns of the other tables."""
    rows = {}
    for path in sorted(Path(folder).glob("*/pages.jsonl")):
        for line in (line for line in map(json.loads, path.open()) if "parts" in line):
            image = line["image"]
            rows.setdefault(path.parent.name, []).append({
                **image["size"], "render_us": image["render_micros"], "encode_us": image["encode_micros"],
                "bytes": image["encoded_bytes"], "tokens": sum(part["visual_tokens"] for part in line["parts"]),
            })
    return rows


def costs(folder, *paths):
    names = ("bocr", "chandra 0.2.0", "replaced scripts")
    tables = [rows_of_bocr(folder), *map(rows_by_file, paths)]
    print(f"{'file':18}{'pages':>6}  {'':16} {'render ms':>10}{'encode ms':>10}{'both: p50':>10}{'p90':>7}{'worst':>7}"
          f"{'kB':>7}{'Mpixel':>8}{'tokens':>8}")
    every = [{"all": [row for rows in table.values() for row in rows]} for table in tables]
    for file in [*tables[0], "all"]:
        for name, table in zip(names, every if file == "all" else tables):
            rows = table.get(file, [])
            if not rows:
                continue
            of = lambda key: [float(row[key]) for row in rows]
            render, encode = of("render_us"), of("encode_us")
            both = sorted(a + b for a, b in zip(render, encode))
            images = 2 if name == names[2] else 1
            pixels = [images * a * b for a, b in zip(of("width"), of("height"))]
            print(f"{file if name == names[0] else '':18}{len(rows):6}  {name:16} {statistics.median(render) / 1e3:10.1f}"
                  f"{statistics.median(encode) / 1e3:10.1f}{statistics.median(both) / 1e3:10.1f}"
                  f"{both[int(0.9 * (len(both) - 1))] / 1e3:7.1f}{both[-1] / 1e3:7.1f}"
                  f"{statistics.mean(of('bytes')) / 1e3:7.0f}{statistics.mean(pixels) / 1e6:8.2f}{statistics.mean(of('tokens')):8.0f}")


def psnr(one, other):
    difference = numpy.asarray(one, numpy.float32) - numpy.asarray(other, numpy.float32)
    square = float((difference * difference).mean())
    return 99.0 if square == 0 else 10 * math.log10(255 * 255 / square)


def as_server_sees(image):
    size = server_size(*image.size)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def oversampled(page, size):
    """The page at this size. Every pixel is the mean of 4 x 4 pixels that PDFium rendered."""
    across, down = (4 * side for side in size)
    bitmap = pypdfium2.PdfBitmap.new_native(across, down, pdfium.FPDFBitmap_Gray)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, across, down)
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, across, down, 0, pdfium.FPDF_ANNOT | pdfium.FPDF_GRAYSCALE)
    levels = numpy.ctypeslib.as_array(ctypes.cast(bitmap.buffer, ctypes.POINTER(ctypes.c_ubyte)), (down, bitmap.stride))
    cells = levels[:, :across].reshape(size[1], 4, size[0], 4)
    return cells.mean(axis=(1, 3), dtype=numpy.float32)


COMPARED = ("parity, package", "parity, package: as served", "direct, package: as served",
            "package, ideal", "parity, ideal", "direct, ideal")


def compare(every, parity_folder, direct_folder, *paths):
    """PSNR in dB of the grey images. `ideal` is the page without resampling: rendered four times as large, then averaged."""
    print(f"{'file':18}{'pages':>6}{'same size':>11}" + "".join(f"{name:>28}" for name in COMPARED))
    found = {}
    for path, index in pages(paths, int(every)):
        read = lambda folder: Image.open(Path(folder) / path.stem / f"{path.stem}.p{index + 1:03}.whole.png").convert("L")
        parity, direct = read(parity_folder), read(direct_folder)
        theirs = scale_to_fit(load_pdf_images(str(path), [index])[0]).convert("L")
        served = [as_server_sees(image) for image in (theirs, parity, direct)]
        same = theirs.size == parity.size and len({image.size for image in served}) == 1
        row = [same]
        if same:
            ideal = oversampled(pypdfium2.PdfDocument(path)[index], served[0].size)
            row += [psnr(parity, theirs), psnr(served[1], served[0]), psnr(served[2], served[0])]
            row += [psnr(image, ideal) for image in served]
        found.setdefault(path.stem, []).append(row)
    for file, rows in [*found.items(), ("all", [row for rows in found.values() for row in rows])]:
        whole = [row for row in rows if row[0]]
        cell = lambda at: f"{statistics.median(row[at] for row in whole):.1f} ({min(row[at] for row in whole):.1f})"
        print(f"{file:18}{len(rows):6}{len(whole):11}" + "".join(f"{cell(at + 1):>28}" for at in range(len(COMPARED))))


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command in ("package", "replaced"):
        as_tsv({"package": package, "replaced": replaced}[command], int(rest[0]), rest[1:])
    else:
        {"costs": costs, "compare": compare}[command](*rest)
