"""Makes real files of every kind that can be read."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

HARBOUR = "The harbour master signs each manifest before the tide turns."
LIGHT = "The lamp of the lighthouse is turned by a clockwork of brass."
CHINESE = "港务长在退潮之前签署每一份货单。"


def pdf(pages: Sequence[str], *, title: str = "", bookmarks: Mapping[str, int] | None = None) -> bytes:
    """A PDF by hand: a page for each text, in lines; ``bookmarks`` lead to pages by index."""
    objects: list[bytes] = [b"", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    numbers = []
    for text in pages:
        lines = "".join(f"({line}) Tj T* " for line in text.split("\n")) if text else ""
        stream = f"BT /F1 12 Tf 14 TL 50 700 Td {lines}ET".encode("latin-1")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        numbers.append(len(objects))
    outlines = b""
    if bookmarks:
        first, outline = len(objects) + 2, len(objects) + 1
        marks = list(bookmarks.items())
        objects.append(
            b"<< /First %d 0 R /Last %d 0 R /Count %d >>" % (first, first + len(marks) - 1, len(marks))
        )
        for at, (name, page) in enumerate(marks):
            after = b"/Next %d 0 R" % (first + at + 1) if at + 1 < len(marks) else b""
            objects.append(
                b"<< /Title (%s) /Parent %d 0 R /Dest [%d 0 R /Fit] %s >>"
                % (name.encode(), outline, numbers[page], after)
            )
        outlines = b"/Outlines %d 0 R" % outline
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R %s >>" % outlines
    kids = b" ".join(b"%d 0 R" % each for each in numbers)
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages))
    objects.append(
        b"<< /Title (%s) /Author (A. Keeper) /CreationDate (D:20240229101500Z) >>" % title.encode()
    )
    return _with_table(objects, b"/Info %d 0 R" % len(objects))


def _with_table(objects: Sequence[bytes], more: bytes) -> bytes:
    out = BytesIO(b"%PDF-1.7\n")
    out.seek(0, 2)
    places = []
    for number, each in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, each))
    begin = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(
        b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, more, begin)
    )
    return out.getvalue()


def encrypted_pdf() -> bytes:
    """One that needs a password: what its own does not match."""
    body = pdf([HARBOUR])
    encrypt = (
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -44 >> /ID [<0123456789abcdef> "
        b"<0123456789abcdef>] /Root" % (b"28" * 32, b"75" * 32)
    )
    return body.replace(b"/Root", encrypt, 1) if b"/Root" in body else body


def bomb_pdf(mebibytes: int) -> bytes:
    """A page whose content unfolds to so many MiB of text operators."""
    stream = _unfolding(b"BT /F1 12 Tf 1 TL 50 700 Td ", b"(tide) Tj T* ", mebibytes)
    return _with_table(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>",
        ],
        b"",
    )


def _unfolding(beginning: bytes, line: bytes, mebibytes: int) -> bytes:
    """What zlib would make of a beginning and so many MiB of a line, which is compressed once."""
    many = line * ((1 << 20) // len(line))
    compressor = zlib.compressobj(9)
    parts = [compressor.compress(beginning), compressor.flush(zlib.Z_FULL_FLUSH)]
    again = compressor.compress(many) + compressor.flush(zlib.Z_FULL_FLUSH)
    raw = zlib.compressobj(9, wbits=-zlib.MAX_WBITS).flush()
    check = zlib.adler32(beginning)
    for _ in range(mebibytes):
        parts.append(again)
        check = zlib.adler32(many, check)
    return b"".join([*parts, raw, check.to_bytes(4, "big")])


def docx() -> bytes:
    import docx as word

    document = word.Document()
    document.core_properties.title = "Rules of the harbour"
    document.core_properties.author = "A. Keeper"
    document.core_properties.created = datetime(2024, 2, 29, 10, 15, tzinfo=UTC)
    document.add_heading("Rules", level=1)
    document.add_paragraph(HARBOUR)
    document.add_heading("Signals", level=2)
    document.add_paragraph("a red flag", style="List Bullet")
    document.add_paragraph("a blue flag", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for at, text in enumerate(("Signal", "Meaning", "red | flag", "storm")):
        table.cell(at // 2, at % 2).text = text
    document.add_paragraph(CHINESE)
    return _saved(document)


def pptx() -> bytes:
    import pptx as slides
    from pptx.util import Inches

    presentation = slides.Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "The harbour"
    body = first.placeholders[1].text_frame
    body.text = "opens at six"
    inner = body.add_paragraph()
    inner.text, inner.level = "but not on Sundays", 1
    assert first.notes_slide.notes_text_frame is not None
    first.notes_slide.notes_text_frame.text = "Speak slowly."
    second = presentation.slides.add_slide(presentation.slide_layouts[6])
    box = second.shapes.add_textbox(Inches(1), Inches(1), Inches(4), Inches(1))
    box.text_frame.text = LIGHT
    table = second.shapes.add_table(2, 2, Inches(1), Inches(3), Inches(4), Inches(1)).table
    for at, text in enumerate(("Lamp", "Metal", "one", "brass")):
        table.cell(at // 2, at % 2).text = text
    return _saved(presentation)


def xlsx(rows: int = 2) -> bytes:
    import openpyxl

    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = "Tides"
    sheet.append(["Day", "High", "When"])
    for number in range(rows):
        sheet.append([f"day {number}", 4.5 + number, datetime(2024, 2, 29, 6, 15)])
    other = workbook.create_sheet("Ships")
    other["B2"] = "Name"
    other["B3"] = CHINESE
    workbook.create_sheet("Hidden").sheet_state = "hidden"
    workbook["Hidden"]["A1"] = "nobody sees this"
    return _saved(workbook)


def _saved(document: Any) -> bytes:
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def archive(entries: Mapping[str, str | bytes], mimetype: str | None = None) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as made:
        if mimetype is not None:
            made.writestr("mimetype", mimetype, ZIP_STORED)
        for name, data in entries.items():
            made.writestr(name, data)
    return out.getvalue()


_NAMESPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        **{name: name for name in ("office", "text", "table", "presentation", "meta")},
        "draw": "drawing",
    }.items()
)
_META = (
    f'<office:document-meta {_NAMESPACES} xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta>'
    "<dc:title>Rules of the harbour</dc:title><meta:initial-creator>A. Keeper</meta:initial-creator>"
    "<meta:creation-date>2024-02-29T10:15:00</meta:creation-date></office:meta></office:document-meta>"
)


def open_document(kind: str, body: str, *, manifest: str = "", before: str = "") -> bytes:
    """``kind`` is text, spreadsheet or presentation; ``body`` is what is in it."""
    content = (
        f"{before}<office:document-content {_NAMESPACES}><office:body>"
        f"<office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    entries = {
        "content.xml": content,
        "meta.xml": _META,
        "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>",
    }
    return archive(entries, f"application/vnd.oasis.opendocument.{kind}")


def odt() -> bytes:
    return open_document(
        "text",
        "<text:tracked-changes><text:p>deleted long ago</text:p></text:tracked-changes>"
        '<text:h text:outline-level="1">Rules</text:h>'
        f"<text:p>{HARBOUR}<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>since 1850</text:p></text:note-body></text:note></text:p>"
        "<text:list><text:list-item><text:p>a red<text:s text:c='2'/>flag</text:p><text:list><text:list-item>"
        "<text:p>by day</text:p></text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>Signal</text:p></table:table-cell>"
        "<table:table-cell><text:p>Meaning</text:p></table:table-cell></table:table-row>"
        "<table:table-row><table:table-cell><text:p>red</text:p></table:table-cell>"
        "<table:table-cell><text:p>storm</text:p></table:table-cell></table:table-row></table:table>",
    )


def ods(repeated: int = 1) -> bytes:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    row = f"<table:table-row table:number-rows-repeated='{repeated}'>"
    row += cell.format("high") + cell.format("06:15")
    return open_document(
        "spreadsheet",
        f"<table:table table:name='Tides'><table:table-row>{cell.format('Tide')}{cell.format('When')}"
        "<table:table-cell table:number-columns-repeated='16380'/></table:table-row>"
        f"{row}</table:table-row><table:table-row table:number-rows-repeated='1048000'><table:table-cell "
        "table:number-columns-repeated='16384'/></table:table-row></table:table>"
        f"<table:table table:name='Ships'><table:table-row>{cell.format('Marie')}"
        "</table:table-row></table:table>",
    )


def _frame(text: str, kind: str = "outline") -> str:
    box = f"<draw:text-box><text:p>{text}</text:p></draw:text-box>"
    return f"<draw:frame presentation:class='{kind}'>{box}</draw:frame>"


def odp() -> bytes:
    return open_document(
        "presentation",
        f"<draw:page>{_frame('The harbour', 'title')}{_frame('opens at six')}"
        f"<presentation:notes>{_frame('Speak slowly.')}</presentation:notes></draw:page>"
        f"<draw:page>{_frame(LIGHT)}</draw:page>",
    )


def epub(*, encryption: str | None = None) -> bytes:
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>The Keeper</dc:title><dc:creator>A. Keeper</dc:creator><dc:date>1901</dc:date></metadata>"
        '<manifest><item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        '<item id="b" href="two%20b.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="a" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    entries = {
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": package,
        "OEBPS/nav.xhtml": "<html><body><nav><a>Contents</a></nav></body></html>",
        "OEBPS/one.xhtml": f"<html><head><title>x</title></head><body><h1>One</h1>{HARBOUR}</body></html>",
        "OEBPS/two b.xhtml": f"<html><body><h1>Two</h1><p>{LIGHT}</p></body></html>",
    }
    if encryption is not None:
        entries["META-INF/encryption.xml"] = f"<e><CipherReference URI='{encryption}'/></e>"
    return archive(entries, "application/epub+zip")


HTML = f"""<!doctype html><html><head><title>The lighthouse</title><meta name="author" content="A. Keeper">
<meta name="description" content="Of lamps."><style>p {{ color: red }}</style>
<script>alert("no")</script></head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/shop">Shop</a></li></ul></nav>
<article><h1>The lighthouse</h1><p>{LIGHT} {HARBOUR} {LIGHT}</p><h2>Its lamp</h2>
<p>It has burned oil, gas and {"paraffin, " * 20} and it still burns every night of the year.</p>
<ul><li>oil</li><li>gas</li></ul>
<table><tr><th>Year</th><th>Fuel</th></tr><tr><td>1850</td><td>oil</td></tr></table></article>
<footer>Imprint and cookies</footer></body></html>"""


def mail(*, subject: str = "Storm", attachments: Sequence[tuple[str, str, bytes]] = ()) -> EmailMessage:
    """A mail in plain text and HTML; ``attachments`` are names, media types and contents."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "A. Keeper <keeper@harbour.example>"
    message["To"] = "all@harbour.example"
    message["Date"] = "Thu, 29 Feb 2024 10:15:00 +0100"
    message["Message-ID"] = "<1@harbour.example>"
    message.set_content(f"{HARBOUR}\n{CHINESE}\n")
    message.add_alternative("<html><body><p>in colours</p></body></html>", subtype="html")
    for name, media_type, data in attachments:
        kind, _, subtype = media_type.partition("/")
        message.add_attachment(data, maintype=kind, subtype=subtype, filename=name)
    return message


def mbox() -> bytes:
    envelope = b"From keeper@harbour.example Thu Feb 29 10:15:00 2024\n"
    first, second = mail(subject="Storm").as_bytes(), mail(subject="Calm").as_bytes()
    return (
        envelope
        + first
        + b"\n"
        + envelope
        + second.replace(HARBOUR.encode(), b">From the harbour\nFrom 1850 on")
    )
