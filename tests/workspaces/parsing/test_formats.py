"""Real files of every kind give their text, their headings, their pages and what they say of themselves."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.workspaces.parsing import documents
from tests.workspaces.parsing.conftest import Read
from tests.workspaces.parsing.documents import CHINESE, HARBOUR, LIGHT
from tidegate.workspaces.document import Page
from tidegate.workspaces.parsing.formats import FORMATS, accepted_types
from tidegate.workspaces.parsing.plain_html import html_text

TABLE = "| Signal | Meaning |\n| --- | --- |\n"


def test_a_pdf_has_pages_and_its_bookmarks_are_headings(read_file: Read) -> None:
    data = documents.pdf([f"{HARBOUR}\nSignals", "", LIGHT], title="Rules", bookmarks={"Signals": 0})
    parsed = read_file(data, "rules.pdf")
    assert parsed.pages == (Page(f"{HARBOUR}\n\n# Signals", 1), Page(LIGHT, 3))
    assert (parsed.title, parsed.author, parsed.published) == ("Rules", "A. Keeper", "2024-02-29T10:15:00")


@pytest.mark.parametrize("title", ["(anonymous)", "untitled", "Untitled.", "(unspecified)", ""])
def test_words_of_programs_are_no_title(read_file: Read, title: str) -> None:
    assert (
        read_file(
            documents.pdf([HARBOUR], title=title.replace("(", "\\(").replace(")", "\\)")), "a.pdf"
        ).title
        == ""
    )


def test_a_word_document_keeps_headings_lists_and_tables(read_file: Read) -> None:
    parsed = read_file(documents.docx(), "rules.docx")
    assert parsed.pages == (
        Page(
            f"# Rules\n\n{HARBOUR}\n\n## Signals\n\n- a red flag\n- a blue flag\n\n"
            f"{TABLE}| red \\| flag | storm |\n\n{CHINESE}"
        ),
    )
    assert (parsed.title, parsed.author) == ("Rules of the harbour", "A. Keeper")
    assert parsed.published == "2024-02-29T10:15:00Z"


def test_a_slide_is_a_page_with_its_notes(read_file: Read) -> None:
    parsed = read_file(documents.pptx(), "talk.pptx")
    assert parsed.pages == (
        Page("# The harbour\n\n- opens at six\n  - but not on Sundays\n\nNotes: Speak slowly.", 1),
        Page(f"{LIGHT}\n\n| Lamp | Metal |\n| --- | --- |\n| one | brass |", 2),
    )


def test_a_sheet_is_a_page_with_a_table(read_file: Read) -> None:
    parsed = read_file(documents.xlsx(), "tides.xlsx")
    assert parsed.pages == (
        Page(
            "# Tides\n\n| Day | High | When |\n| --- | --- | --- |\n"
            "| day 0 | 4.5 | 2024-02-29 06:15:00 |\n| day 1 | 5.5 | 2024-02-29 06:15:00 |",
            1,
        ),
        Page(f"# Ships\n\n|  | Name |\n| --- | --- |\n|  | {CHINESE} |", 2),
    )


def test_a_long_table_repeats_its_header(read_file: Read) -> None:
    [page, _] = read_file(documents.xlsx(rows=100), "tides.xlsx").pages
    title, *parts = page.text.split("\n\n")
    assert title == "# Tides"
    assert len(parts) > 4
    assert all(part.startswith("| Day | High | When |\n| --- | --- | --- |\n| day ") for part in parts)
    assert max(map(len, parts)) < 1000
    days = [int(line.split()[2]) for part in parts for line in part.splitlines()[2:]]
    assert days == list(range(100))


def test_an_open_document_text_keeps_headings_notes_and_lists(read_file: Read) -> None:
    parsed = read_file(documents.odt(), "rules.odt")
    assert parsed.pages == (
        Page(f"# Rules\n\n{HARBOUR} (since 1850)\n\n- a red flag\n  - by day\n\n{TABLE}| red | storm |"),
    )
    assert (parsed.title, parsed.author) == ("Rules of the harbour", "A. Keeper")


def test_an_open_document_spreadsheet_ends_where_its_values_do(read_file: Read) -> None:
    assert read_file(documents.ods(), "tides.ods").pages == (
        Page("# Tides\n\n| Tide | When |\n| --- | --- |\n| high | 06:15 |", 1),
        Page("# Ships\n\n| Marie |\n| --- |", 2),
    )


def test_an_open_document_presentation_has_slides(read_file: Read) -> None:
    assert read_file(documents.odp(), "talk.odp").pages == (
        Page("# The harbour\n\nopens at six\n\nNotes: Speak slowly.", 1),
        Page(LIGHT, 2),
    )


def test_a_book_has_its_chapters_in_the_order_of_reading(read_file: Read) -> None:
    parsed = read_file(documents.epub(), "keeper.epub")
    assert parsed.pages == (Page(f"# One\n\n{HARBOUR}"), Page(f"# Two\n\n{LIGHT}"))
    assert (parsed.title, parsed.author, parsed.published) == ("The Keeper", "A. Keeper", "1901")


def test_a_page_of_the_web_is_its_main_text(read_file: Read) -> None:
    parsed = read_file(documents.HTML.encode(), "page.html")
    [page] = parsed.pages
    assert page.text.startswith(f"# The lighthouse\n\n{LIGHT}")
    assert "## Its lamp" in page.text
    assert "| 1850 | oil |" in page.text
    assert not any(word in page.text for word in ("Shop", "cookies", "alert", "color"))
    assert (parsed.title, parsed.description) == ("The lighthouse", "Of lamps.")


def test_without_the_extra_a_page_is_all_that_it_shows() -> None:
    title, text = html_text(documents.HTML)
    assert title == "The lighthouse"
    assert text.startswith(f"- Home\n- Shop\n\n# The lighthouse\n\n{LIGHT}")
    assert "- oil\n- gas\n\n| Year | Fuel |" in text
    assert not any(word in text for word in ("alert", "color"))


def test_a_mail_has_its_fields_its_plain_text_and_its_attachments(read_file: Read) -> None:
    attachments = [
        ("rules.docx", "application/octet-stream", documents.docx()),
        ("lamp.png", "image/png", b"\x89PNG\r\n"),
        ("noise.bin", "application/octet-stream", b"\0\1\2"),
    ]
    parsed = read_file(documents.mail(attachments=attachments).as_bytes(), "storm.eml")
    [page] = parsed.pages
    assert page.text.startswith('# Storm\n\nFrom: "A. Keeper" <keeper@harbour.example>\nTo: all@')
    assert f"{HARBOUR}\n{CHINESE}\n\n## Attachment: rules.docx\n\n# Rules\n" in page.text
    assert page.text.endswith("noise.bin\n\n(not read: noise.bin is of a kind that cannot be read)")
    assert not any(word in page.text for word in ("colours", "lamp.png"))
    assert (parsed.title, parsed.published) == ("Storm", "2024-02-29T10:15:00+01:00")


def test_mails_lie_within_one_another_only_so_deep(read_file: Read) -> None:
    letter = documents.mail(subject="innermost").as_bytes()
    for depth in range(5):
        letter = documents.mail(
            subject=f"depth {depth}", attachments=[("m.eml", "application/x", letter)]
        ).as_bytes()
    [page] = read_file(letter, "m.eml").pages
    assert "# depth 2" in page.text
    assert "# depth 1" not in page.text
    assert page.text.endswith("(not read: too many documents lie within one another)")


def test_a_mailbox_has_a_page_for_each_mail(read_file: Read) -> None:
    first, second = read_file(documents.mbox(), "box.mbox").pages
    assert first.text.startswith("# Storm\n")
    assert second.text.startswith("# Calm\n")
    assert "\nFrom the harbour\nFrom 1850 on\n" in second.text


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"a;b\n1;'2, 3'\n", "semicolons.csv"),
        (b"\xef\xbb\xbfa,b\r\n1,\"'2, 3'\"\r\n", "commas.csv"),
        (b"a\tb\n1\t'2, 3'\n\n\t\n", "tabs.tsv"),
        ("a,b\n1,\"'2, 3'\"\n".encode("utf-16"), "wide.csv"),
    ],
)
def test_separated_values_are_a_table(read_file: Read, data: bytes, name: str) -> None:
    assert read_file(data, name).text == "| a | b |\n| --- | --- |\n| 1 | '2, 3' |"


def test_json_is_written_so_that_words_are_found(read_file: Read) -> None:
    assert read_file(b'{"harbour": ["\\u6e2f"]}', "a.json").text == '{\n  "harbour": [\n    "港"\n  ]\n}'
    assert read_file(b'{"a": 1}\n{"a": 2}\n', "a.jsonl").text.count('"a"') == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "---\ntitle: Title\n---\n# One\n\ntext\n\n## Two\n\nmore\n"),
        ("a.org", "#+TITLE: Title\n* One :tag:\ntext\n** Two\n#+begin_src\n* none\n#+end_src\n"),
        ("a.adoc", "= Title\n= One\ntext\n== Two\n----\n== none\n----\n"),
        ("a.rst", "=====\nTitle\n=====\n\nOne\n=====\n\ntext\n\nTwo\n---\n\n=== ===\na   b\n=== ===\n"),
    ],
)
def test_headings_of_any_markup_are_those_of_markdown(read_file: Read, name: str, text: str) -> None:
    parsed = read_file(text.encode(), name)
    headings = [line for line in parsed.text.splitlines() if line.startswith("#") and "+" not in line]
    levels = [len(line.split()[0]) for line in headings[-2:]]
    assert [line.strip("# ") for line in headings[-2:]] == ["One", "Two"]
    assert all(deeper == level + 1 for level, deeper in pairwise(levels))
    assert parsed.title == "Title"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE * 3, "utf-8-sig"),
        (CHINESE * 3, "utf-16"),
        (CHINESE * 3, "gb18030"),
        ("我們在這個港口的燈塔上。" * 3, "big5"),
        ("港の灯台は夜になると光をはなつのです。" * 3, "shift_jis"),
        ("港の灯台は夜になると光をはなつのです。" * 3, "euc_jp"),
        ("등대는 밤에 빛을 내는 것이다. 항구의 배는 그 빛을 보고 들어온다." * 3, "euc_kr"),
        ("Le phare a été érigé près de la côte, où l'été dure – « toujours ».", "cp1252"),
        ("plain letters", "utf-16-le"),
    ],
)
def test_text_is_read_in_the_encoding_that_it_is_in(read_file: Read, text: str, encoding: str) -> None:
    assert read_file(text.encode(encoding), "a.txt").text == text


def test_the_encoding_that_was_told_counts(read_file: Read) -> None:
    assert read_file("дом".encode("koi8-r"), "a.txt", "text/plain; charset=KOI8-R").text == "дом"
    page = '<html><head><meta charset="koi8-r"></head><body>дом у моря</body></html>'
    assert "дом у моря" in read_file(page.encode("koi8-r"), "a.html").text


def test_text_holds_no_control_characters(read_file: Read) -> None:
    assert read_file(b"one\r\ntwo\rthree\x1b[0m\x0cfour", "a.txt").text == "one\ntwo\nthree[0m\n\nfour"


def test_every_kind_has_a_reader_and_is_accepted() -> None:
    types = accepted_types()
    assert types["text/plain"][:2] == [".txt", ".md"]
    assert types["application/pdf"] == [".pdf"]
    assert types["application/vnd.openxmlformats-officedocument.wordprocessingml.document"] == [".docx"]
    assert types["application/vnd.oasis.opendocument.spreadsheet"] == [".ods"]
    assert {".csv", ".json", ".epub", ".eml", ".mbox"} <= {
        each for all_of in types.values() for each in all_of
    }
    assert all(each.installed for each in FORMATS.values())
