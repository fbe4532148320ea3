#!/usr/bin/env python3
"""Makes the PDFs of this folder, and the PNGs if chandra-ocr 0.2.0 is installed. Wants Pillow; run it here: python3 make.py

Every file has one page (boxes.pdf: one for each way to say a size) with black or coloured squares at places that tests/imaging_faithful.rs names.
"""
import io, pathlib, struct, zlib
from PIL import Image, ImageDraw

BLACK, RED = "0 g", "1 0 0 rg"


def stream(entries, data):
    data = data if isinstance(data, bytes) else data.encode()
    return b"<<" + entries.encode() + b"/Length %d>> stream\n" % len(data) + data + b"\nendstream"


def square(x, y, colour=BLACK, side=40):
    return f"{colour} {x} {y} {side} {side} re f "


def write(name, pages, objects=(), catalog=""):
    """`pages`: (entries, content) each; `objects`: (number, body) from 100 on."""
    numbered = dict(objects)
    kids = []
    for index, (entries, content) in enumerate(pages):
        page, contents = 10 + 2 * index, 11 + 2 * index
        kids.append(f"{page} 0 R")
        if "/MediaBox" not in entries:
            entries += "/MediaBox[0 0 300 200]"
        numbered[page] = f"<</Type/Page/Parent 2 0 R/Contents {contents} 0 R{entries}>>"
        numbered[contents] = stream("", content)
    numbered[1] = f"<</Type/Catalog/Pages 2 0 R{catalog}>>"
    numbered[2] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), {}
    for number, body in sorted(numbered.items()):
        places[number] = len(out)
        out += b"%d 0 obj " % number + (body if isinstance(body, bytes) else body.encode("latin-1")) + b" endobj\n"
    table, last = len(out), max(numbered)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (last + 1)
    for number in range(1, last + 1):
        out += b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 65535 f \n"
    out += b"trailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (last + 1, table)
    with open(name, "wb") as file:
        file.write(out)


def appearance(colour=RED, extra=""):
    return stream(f"/Type/XObject/Subtype/Form/BBox[0 0 40 40]{extra}", f"{colour} 0 0 40 40 re f")


def annotations():
    """A grid of annotations, 40 points square. From y = 90 down those that the package leaves out: without an appearance,
    where PDFium makes one up, and of an unknown kind."""
    objects, annots = [(100, appearance()), (101, appearance("1 1 0 rg"))], []
    def add(x, y, subtype, flags=4, entries="/AP<</N 100 0 R>>"):
        number = 110 + len(annots)
        objects.append((number, f"<</Type/Annot/Subtype/{subtype}/Rect[{x} {y} {x + 40} {y + 40}]/F {flags}{entries}>>"))
        annots.append(f"{number} 0 R")
        return number
    quad = "/QuadPoints[{0} {1} {2} {1} {0} {3} {2} {3}]"
    note = add(10, 150, "Text")
    add(60, 150, "Highlight", 4, "/C[1 1 0]/AP<</N 101 0 R>>" + quad.format(60, 190, 100, 150))
    add(110, 150, "Stamp")
    add(160, 150, "FreeText", 4, "/DA(/Helv 12 Tf 0 g)/Contents(note)/AP<</N 100 0 R>>")
    add(210, 150, "Popup", 4, f"/Open true/Contents(popup)/Parent {note} 0 R")
    add(260, 150, "Square", 0)
    add(10, 100, "Square", 2)   # hidden
    add(60, 100, "Square", 32)  # no view: for paper only
    add(110, 100, "Square", 0)  # no print: for the screen only
    add(210, 100, "Square", 36)  # no view, but print
    add(260, 100, "Link", 4, "/Border[0 0 3]/C[1 0 0]")
    add(10, 50, "Highlight", 4, "/C[1 1 0]" + quad.format(10, 90, 50, 50))
    add(60, 50, "Square", 4, "/C[1 0 0]/IC[1 0 0]/BS<</W 4>>")
    add(110, 50, "Ink", 4, "/C[1 0 0]/BS<</W 6>>/InkList[[115 55 145 85]]")
    add(160, 50, "Underline", 4, "/C[1 0 0]" + quad.format(160, 90, 200, 50))
    add(210, 50, "FreeText", 4, "/DA(/Helv 24 Tf 1 0 0 rg)/Contents(FREE)")
    add(10, 2, "Unheard", 1)
    add(260, 50, "Text", 4, "/Contents(a note)/Name/Note")
    write("annotations.pdf", [(f"/Annots[{' '.join(annots)}]", square(60, 160, BLACK, 20))], objects)


def form():
    """Fields: with appearances, a tick with states, a value without an appearance, hidden, a choice, a signature."""
    text = stream("/Type/XObject/Subtype/Form/BBox[0 0 80 40]/Resources<</Font<</Helv 200 0 R>>>>",
                  "/Tx BMC q BT /Helv 20 Tf 0 g 2 10 Td (VALUE) Tj ET Q EMC")
    field = "<</Type/Annot/Subtype/Widget/FT/{}/T({})/Rect[{} {} {} {}]/F {}/P 10 0 R{}>>"
    numbers = range(110, 118)
    objects = [
        (100, text), (101, appearance()), (102, appearance("0 0 1 rg")),
        (200, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"),
        (110, field.format("Tx", "a", 10, 150, 90, 190, 4, "/V(VALUE)/DA(/Helv 20 Tf 0 g)/AP<</N 100 0 R>>")),
        (111, field.format("Tx", "b", 110, 150, 190, 190, 4, "/V(MADE)/DA(/Helv 20 Tf 0 g)/MK<</BG[0.8 1 0.8]/BC[1 0 0]>>")),
        (112, field.format("Btn", "c", 210, 150, 250, 190, 4, "/V/Yes/AS/Yes/AP<</N<</Yes 101 0 R/Off 102 0 R>>>>")),
        (113, field.format("Btn", "d", 10, 100, 50, 140, 4, "/V/Off/AS/Off/AP<</N<</Yes 101 0 R>>>>")),
        (114, field.format("Tx", "e", 60, 100, 100, 140, 2, "/V(HIDDEN)/DA(/Helv 20 Tf 0 g)/AP<</N 101 0 R>>")),
        (115, field.format("Ch", "f", 110, 100, 190, 140, 4, "/Ff 131072/V(CHOICE)/Opt[(CHOICE)(other)]/DA(/Helv 14 Tf 0 g)")),
        (116, field.format("Sig", "g", 210, 100, 250, 140, 4, "/AP<</N 101 0 R>>")),
        (117, field.format("Tx", "h", 10, 50, 90, 90, 0, "/V(SCREEN)/DA(/Helv 14 Tf 0 g)/AP<</N 100 0 R>>")),
    ]
    fields = " ".join(f"{number} 0 R" for number in numbers)
    form = f"/AcroForm<</Fields[{fields}]/DA(/Helv 12 Tf 0 g)/DR<</Font<</Helv 200 0 R>>>>>>"
    write("form.pdf", [(f"/Annots[{fields}]", square(250, 10))], objects, form)


def boxes():
    """A page a way to say its size; each has a black square 20 points from its lower left corner as it is shown."""
    corner = lambda x, y: square(x + 20, y + 20) + "0.9 g " + f"{x + 100} {y + 100} 20 20 re f"
    write("boxes.pdf", [
        ("/MediaBox[0 0 300 200]/CropBox[50 40 250 160]", corner(50, 40)),
        ("/MediaBox[0 0 300 200]/CropBox[-50 -50 250 150]", corner(0, 0)),
        ("/MediaBox[-100 -80 200 120]", corner(-100, -80)),
        ("/MediaBox[300 200 0 0]", corner(0, 0)),
        ("/Rotate 90", corner(0, 0)),
        ("/Rotate 180", corner(0, 0)),
        ("/Rotate 270", corner(0, 0)),
        ("/Rotate -90/MediaBox[-100 -80 200 120]/CropBox[-50 -40 200 120]", corner(-50, -40)),
        ("/UserUnit 2", corner(0, 0)),
    ])
    write("crop_outside.pdf", [("/MediaBox[0 0 300 200]/CropBox[400 400 500 500]", corner(0, 0))])


def transparency():
    """Half-transparent squares, a soft mask, multiplication, an isolated group, and text under a white veil."""
    group = "/Group<</S/Transparency/CS/DeviceRGB/I true>>"
    objects = [
        (100, stream("/Type/XObject/Subtype/Form/BBox[0 0 300 200]" + group, "1 0 0 rg 110 100 60 60 re f 0 0 1 rg 130 80 60 60 re f")),
        (101, stream("/Type/XObject/Subtype/Form/BBox[0 0 300 200]/Group<</S/Transparency/CS/DeviceGray>>", "1 g 210 100 20 60 re f 0.5 g 230 100 20 60 re f")),
    ]
    states = ("/Half<</ca 0.5/CA 0.5>>/Full<</ca 1/BM/Normal/SMask/None>>/Times<</BM/Multiply>>"
              "/Mask<</SMask<</S/Luminosity/G 101 0 R>>>>")
    content = (square(10, 100, BLACK, 60) + "/Half gs " + square(40, 120, RED, 60) + "/G Do /Full gs /Times gs "
               + square(10, 20, "1 1 0 rg", 40) + square(30, 30, "0 1 1 rg", 40) + "/Full gs /Mask gs "
               + square(200, 100, BLACK, 60) + "/Full gs " + square(200, 20, BLACK) + "/Half gs " + square(200, 20, "1 g"))
    write("transparency.pdf", [(group + f"/Resources<</ExtGState<<{states}>>/XObject<</G 100 0 R>>>>", content)], objects)


def picture():
    """A grey ramp with a black cross, 64 x 64."""
    image = Image.linear_gradient("L").resize((64, 64))
    draw = ImageDraw.Draw(image)
    draw.line((0, 0, 63, 63), 0, 4)
    draw.rectangle((40, 4, 60, 20), 0)
    return image


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def colours():
    """Colours of every space: CMYK, separation, Lab, indexed, calibrated; a CMYK JPEG, which Adobe writes inverted."""
    cmyk = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    # Pillow inverts what it writes.
    inverted = encoded(cmyk, "JPEG", quality=90)
    jpeg = encoded(Image.eval(cmyk, lambda level: 255 - level), "JPEG", quality=90)
    tint = "<</FunctionType 2/Domain[0 1]/C0[0 0 0 0]/C1[0 1 1 0]/N 1>>"
    image = "/Type/XObject/Subtype/Image/Width 32/Height 32/BitsPerComponent 8/Filter/DCTDecode/ColorSpace/DeviceCMYK"
    objects = [(100, stream(image, jpeg)), (101, stream(image + "/Decode[1 0 1 0 1 0 1 0]", inverted)),
               (102, stream("/Type/XObject/Subtype/Image/Width 2/Height 1/BitsPerComponent 1/ColorSpace[/Indexed/DeviceRGB 1<FF00000000FF>]", b"\x40"))]
    spaces = f"/Spot[/Separation/Red/DeviceCMYK{tint}]/Lab[/Lab<</WhitePoint[0.9505 1 1.089]/Range[-128 127 -128 127]>>]/Cal[/CalGray<</WhitePoint[0.9505 1 1.089]/Gamma 2.2>>]"
    place = "q 40 0 0 40 {} {} cm /{} Do Q "
    content = (square(10, 150, "0 1 1 0 k") + square(60, 150, "1 1 1 1 k") + square(110, 150, "0 0 0 1 k")
               + square(160, 150, "/Spot cs 1 scn") + square(210, 150, "/Lab cs 50 60 40 scn") + square(250, 100, "/Cal cs 0.5 scn")
               + place.format(10, 90, "A") + place.format(60, 90, "B") + place.format(110, 90, "C")
               + square(160, 90, "0 0 0 0.3 k"))
    write("colours.pdf", [(f"/Resources<</ColorSpace<<{spaces}>>/XObject<</A 100 0 R/B 101 0 R/C 102 0 R>>>>", content)], objects)


def layers():
    """Optional content: on, off by default, off through a membership, an image that is off."""
    objects = [(100, "<</Type/OCG/Name(on)>>"), (101, "<</Type/OCG/Name(off)>>"),
               (102, "<</Type/OCMD/OCGs[101 0 R]/P/AllOn>>"),
               (103, stream("/Type/XObject/Subtype/Form/BBox[0 0 40 40]/OC 101 0 R", "0 g 0 0 40 40 re f"))]
    content = "".join(f"/OC /{name} BDC {square(x, 100)} EMC " for name, x in (("On", 10), ("Off", 60), ("Member", 110)))
    content += "q 1 0 0 1 160 100 cm /X Do Q " + square(210, 100)
    write("layers.pdf", [("/Resources<</Properties<</On 100 0 R/Off 101 0 R/Member 102 0 R>>/XObject<</X 103 0 R>>>>", content)],
          objects, "/OCProperties<</OCGs[100 0 R 101 0 R]/D<</OFF[101 0 R]/Order[100 0 R 101 0 R]>>>>")


def fax(image):
    """CCITT group 4 data of a bilevel image: its black pixels are the coding's white ones."""
    file = encoded(image.convert("1"), "TIFF", compression="group4")
    tags = Image.open(io.BytesIO(file)).tag_v2
    assert tags[262] == 1
    return file[tags[273][0] :][: tags[279][0]]


def jbig2(image):
    """One generic region that is coded as group 4: as much of JBIG2 as scanners write."""
    data = fax(Image.eval(image, lambda level: 255 - level))
    width, height = image.size
    segment = lambda number, kind, body: struct.pack(">IBBBI", number, kind, 0, 1, len(body)) + body
    page = struct.pack(">IIIIBH", width, height, 0, 0, 0, 0)
    region = struct.pack(">IIIIBB", width, height, 0, 0, 0, 1) + data
    return segment(0, 48, page) + segment(1, 38, region)


def images():
    """One picture in every coding: Flate, JPEG, JPEG 2000, CCITT, JBIG2, 16 bits, a stencil, a soft mask, inline."""
    grey, bilevel = picture(), picture().point(lambda level: 255 * (level > 96))
    head = "/Type/XObject/Subtype/Image/Width 64/Height 64"
    eight = head + "/BitsPerComponent 8/ColorSpace/DeviceGray"
    one = head + "/BitsPerComponent 1/ColorSpace/DeviceGray"
    parameters = "/DecodeParms<</K -1/Columns 64/Rows 64/BlackIs1 true>>"
    wide = b"".join(struct.pack(">H", level * 257) for level in grey.tobytes())
    bits = bilevel.convert("1").tobytes()
    objects = [
        (100, stream(eight + "/Filter/FlateDecode", zlib.compress(grey.tobytes(), 9))),
        (101, stream(eight + "/Filter/DCTDecode", encoded(grey, "JPEG", quality=80))),
        (102, stream(head + "/Filter/JPXDecode", encoded(grey, "JPEG2000", no_jp2=False))),
        (103, stream(one + "/Filter/CCITTFaxDecode" + parameters, fax(bilevel))),
        (104, stream(one + "/Filter/JBIG2Decode", jbig2(bilevel))),
        (105, stream(head + "/BitsPerComponent 16/ColorSpace/DeviceGray/Filter/FlateDecode", zlib.compress(wide, 9))),
        (106, stream(head + "/ImageMask true/BitsPerComponent 1/Filter/FlateDecode", zlib.compress(bits, 9))),
        (107, stream(eight + "/SMask 108 0 R/Filter/FlateDecode", zlib.compress(bytes(64 * 64), 9))),
        (108, stream(eight + "/Filter/FlateDecode", zlib.compress(grey.tobytes(), 9))),
        (109, stream(head + "/Filter/JPXDecode/ColorSpace/DeviceGray", encoded(grey, "JPEG2000", no_jp2=True))),
    ]
    names = {f"I{number}": number for number, _ in objects if number != 108}
    resources = "".join(f"/{name} {number} 0 R" for name, number in names.items())
    content = "".join(f"q 40 0 0 40 {10 + 50 * (index % 5)} {140 - 60 * (index // 5)} cm 1 0 0 rg /{name} Do Q "
                      for index, name in enumerate(names))
    content += "q 40 0 0 40 210 80 cm BI /W 2 /H 2 /BPC 8 /CS /G /F /AHx ID 00FFFF00> EI Q"
    write("images.pdf", [(f"/Resources<</XObject<<{resources}>>>>", content)], objects)


def references():
    """What the `chandra-ocr` package makes of the pages, beside them; where it is not installed they stay as they are."""
    try:
        from chandra.input import load_pdf_images
        from chandra.model.util import scale_to_fit
    except ImportError:
        return
    for path in sorted(pathlib.Path().glob("*.pdf")):
        if path.stem != "crop_outside":  # at which the package fails
            for number, image in enumerate(load_pdf_images(str(path), []), 1):
                image = scale_to_fit(image)
                few = image.getcolors(256)
                image = image.quantize(256) if few else image
                image.save(path.with_name(f"{path.stem}-{number}.png"), optimize=True)


for make in (annotations, form, boxes, transparency, colours, layers, images, references):
    make()
