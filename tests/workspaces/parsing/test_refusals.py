"""Files that nothing can be read from are refused with a sentence that helps; wrong names do not matter."""

from __future__ import annotations

import zlib
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.workspaces.parsing import documents
from tests.workspaces.parsing.conftest import Read, Refusal
from tests.workspaces.parsing.documents import HARBOUR
from tidegate.errors import Unreadable
from tidegate.workspaces.parsing import formats
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.limits import Limits
from tidegate.workspaces.parsing.reading import read

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


@pytest.mark.parametrize("data", [b"", b"\n \n", bytes(100)])
@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.docx"])
def test_an_empty_file_is_told(refusal: Refusal, data: bytes, name: str) -> None:
    error = refusal(data, name)
    assert (error.status, error.code) == (422, "empty")
    assert error.message == f"{name} is empty: there is nothing to read in it"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7\nnothing else", "a.pdf"),
        (documents.docx()[:2000], "a.docx"),
        (documents.docx().replace(b"document.xml", b"documint.xml"), "a.docx"),
        (documents.archive({"[Content_Types].xml": "<x", "word/document.xml": "<y"}), "a.docx"),
        (documents.archive({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "a.xlsx"),
        (documents.archive({"[Content_Types].xml": "", "ppt/presentation.xml": ""}), "a.pptx"),
        (documents.open_document("text", "<unclosed>"), "a.odt"),
        (documents.archive({}, "application/epub+zip"), "a.epub"),
        (bytes(range(256)) * 10, "a.docx"),
        (b'{"a": ', "a.json"),
    ],
)
def test_a_damaged_file_is_told(refusal: Refusal, data: bytes, name: str) -> None:
    error = refusal(data, name)
    assert error.code == "corrupt"
    assert error.message.startswith(f"{name} is ")


def encrypted_zip() -> bytes:
    data = bytearray(documents.archive({"content.xml": "<x/>"}, "application/vnd.oasis.opendocument.text"))
    at = data.rindex(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (documents.encrypted_pdf(), "a.pdf"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "a.docx"),
        (documents.open_document("text", "", manifest="<encryption-data/>"), "a.odt"),
        (documents.epub(encryption="OEBPS/one.xhtml"), "a.epub"),
        (encrypted_zip(), "a.odt"),
    ],
)
def test_a_file_with_a_password_is_told(refusal: Refusal, data: bytes, name: str) -> None:
    error = refusal(data, name)
    assert error.code == "encrypted"
    assert "without" in error.message


def test_a_book_whose_fonts_are_encrypted_is_read(read_file: Read) -> None:
    assert HARBOUR in read_file(documents.epub(encryption="OEBPS/font.otf"), "a.epub").text


def test_a_scan_is_told(refusal: Refusal) -> None:
    error = refusal(documents.pdf(["", ""]), "scan.pdf")
    assert error.code == "no_text"
    assert error.message.startswith("scan.pdf has no text in its 2 pages; it may be a scan: run OCR on it")


def test_an_office_file_without_text_is_told(refusal: Refusal) -> None:
    assert refusal(documents.open_document("text", ""), "a.odt").message == (
        "a.odt is an OpenDocument file without any text in it"
    )


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (
            b"\x89PNG\r\n\x1a\n" + bytes(50),
            "a.png",
            "a picture, and pictures are not read; what can be read is txt",
        ),
        (b"\x7fELF" + bytes(50), "a.bin", "of a kind that cannot be read; what can be is txt, md"),
        (documents.archive({"a.txt": "x"}), "a.zip", "an archive: unpack it and add the files in it"),
        (b"{\\rtf1 hello}", "a.rtf", "save it as .docx"),
        (
            OLE + "WordDocument".encode("utf-16-le"),
            "a.doc",
            "a Word document of before 2007: save it as .docx",
        ),
        (OLE, "a.msi", "of a kind that cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_can(
    refusal: Refusal, data: bytes, name: str, words: str
) -> None:
    error = refusal(data, name)
    assert error.code == "unsupported"
    assert words in error.message


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        (documents.pdf([HARBOUR]), "a.docx", HARBOUR),
        (documents.pdf([HARBOUR]), "a.txt", HARBOUR),
        (documents.docx(), "a.pdf", "# Rules"),
        (documents.docx(), "a", "# Rules"),
        (documents.odt(), "a.docx", "# Rules"),
        (documents.xlsx(), "a.csv", "# Tides"),
        (documents.HTML.encode(), "a.pdf", "# The lighthouse"),
        (documents.HTML.encode(), "a.txt", "# The lighthouse"),
        (documents.mail().as_bytes(), "a.txt", "# Storm"),
        (documents.mbox(), "a.txt", "# Calm"),
        (b"a,b\n1,2\n3,4\n", "a.xlsx", "| a | b |"),
        (HARBOUR.encode(), "a.pdf", HARBOUR),
        (HARBOUR.encode(), "a.py", HARBOUR),
    ],
)
def test_a_wrong_extension_is_read_as_what_it_is(read_file: Read, data: bytes, name: str, text: str) -> None:
    assert text in read_file(data, name).text


def test_a_bomb_is_not_unfolded(refusal: Refusal) -> None:
    bomb = documents.archive({"[Content_Types].xml": "<x/>", "word/document.xml": bytes(60 << 20)})
    error = refusal(bomb, "bomb.docx")
    assert error.code == "too_large"
    assert error.message == "bomb.docx unfolds to 60 MiB, more than is read: split it into several files"
    crowd = documents.archive({f"word/{number}": "" for number in range(50)})
    assert "holds 50 files, of 40 allowed" in refusal(crowd, "a.docx", entries=40).message


def test_an_archive_that_lies_about_its_sizes_is_damaged(refusal: Refusal) -> None:
    data = documents.archive({"content.xml": bytes(20 << 20)}, "application/vnd.oasis.opendocument.text")
    lying = data.replace((20 << 20).to_bytes(4, "little"), (64).to_bytes(4, "little"))
    assert lying != data
    assert refusal(lying, "a.odt").code == "corrupt"


def test_comments_without_end_before_a_page_cost_nothing(read_file: Read) -> None:
    data = b"<!--a-->" * 500 + b"<p>" + HARBOUR.encode()
    assert HARBOUR in read_file(data, "a.html").text
    assert HARBOUR in read_file(b"<pre>" + b"\n" * 100_000 + b"</pre>" + HARBOUR.encode(), "a.html").text


def test_an_archive_within_an_archive_stays_packed(read_file: Read) -> None:
    out = BytesIO(documents.docx())
    with ZipFile(out, "a", ZIP_DEFLATED) as archive:
        archive.writestr("word/embeddings/bomb.zip", zlib.compress(bytes(1 << 20)))
    assert "# Rules" in read_file(out.getvalue(), "a.docx").text


def test_what_comes_out_is_bounded(refusal: Refusal) -> None:
    for data, name in [
        (documents.ods(repeated=1_000_000), "a.ods"),
        (documents.xlsx(rows=500), "a.xlsx"),
        (HARBOUR.encode() * 200, "a.txt"),
        (documents.pdf([HARBOUR] * 200), "a.pdf"),
    ]:
        error = refusal(data, name, characters=10_000)
        assert error.message == f"{name} holds more than 10,000 characters of text: split it"


def test_a_file_that_is_too_large_is_told(refusal: Refusal) -> None:
    assert refusal(bytes(3 << 20), "a.txt", size=2 << 20).message == (
        "a.txt is larger than the 2 MiB that are read: split it"
    )


def test_entities_of_xml_are_not_followed(read_file: Read, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("secret") / "secret.txt"
    secret.write_text("hunter2", encoding="utf-8")
    before = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}"><!ENTITY f "folded">]>'
    data = documents.open_document("text", "<text:p>seen &e; and &f;</text:p>", before=before)
    text = read_file(data, "a.odt").text
    assert text.startswith("seen")
    assert "hunter2" not in text


def test_nesting_without_end_is_told(refusal: Refusal) -> None:
    assert refusal(b"[" * 100_000 + b"]" * 100_000, "a.json").code == "too_large"
    assert (
        refusal(documents.open_document("text", "<text:p>" * 5000 + "</text:p>" * 5000), "a.odt").code
        == "corrupt"
    )


def test_a_missing_library_is_told_with_its_command(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = formats.FORMATS["pdf"]
    without = {
        **formats.FORMATS,
        "pdf": formats.Format(title=row.title, module="pdf", types=row.types, needs=("gone_",)),
    }
    for module in ("reading", "sniffing", "formats"):
        monkeypatch.setattr(f"tidegate.workspaces.parsing.{module}.FORMATS", without)
    error = refusal(documents.pdf([HARBOUR]), "a.pdf")
    assert error.code == "not_installed"
    assert "pip install 'tidegate[documents]'" in error.message
    assert "application/pdf" not in formats.accepted_types()


def test_a_name_that_is_too_much_for_a_sentence_is_cut(refusal: Refusal) -> None:
    error = refusal(b"", "a\n\x1b[31m" + "b" * 500)
    assert error.message.startswith("a[31mbbb")
    assert len(error.message) < 200


_SEEDS = [
    documents.pdf([HARBOUR]),
    documents.odt(),
    documents.epub(),
    documents.mail().as_bytes(),
    documents.mbox(),
    documents.HTML.encode(),
    b'{"a": [1, 2]}',
    b"a,b\n1,2\n",
]


@given(
    seed=st.sampled_from(_SEEDS),
    at=st.floats(0, 1),
    noise=st.binary(max_size=20),
    cut=st.booleans(),
    name=st.sampled_from(["a.pdf", "a.odt", "a.eml", "a.csv", "a.json", "a.html", "a.rst", "a"]),
)
@example(seed=b"=\n=", at=1.0, noise=b"", cut=False, name="a.rst")
def test_any_bytes_are_read_or_refused(seed: bytes, at: float, noise: bytes, cut: bool, name: str) -> None:
    place = int(at * len(seed))
    data = seed[:place] + noise + (b"" if cut else seed[place + len(noise) :])
    try:
        parsed = read(File(data, name, limits=Limits(characters=100_000)))
    except Unreadable as error:
        assert error.code  # noqa: PT017 - what else would there be
    else:
        assert parsed.text.strip()
