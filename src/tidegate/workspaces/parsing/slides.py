"""Reads PowerPoint presentations: each slide is a page, its notes at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, Final

from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.markdown import heading, joined, tables
from tidegate.workspaces.parsing.word import iso

_DEEPEST_GROUP: Final = 20


def read(file: File) -> Parsed:
    import pptx  # noqa: PLC0415 - in an extra

    presentation = pptx.Presentation(BytesIO(file.data))
    pages = tuple(
        Page(joined(file.counted(each) for each in _slide(slide)), number)
        for number, slide in enumerate(presentation.slides, start=1)
    )
    facts = presentation.core_properties
    return Parsed(
        pages=pages,
        title=facts.title if facts.title != "PowerPoint Presentation" else "",
        author=facts.author or "",
        description=facts.subject or "",
        published=iso(facts.created),
    )


def _slide(slide: Any) -> Iterator[str]:
    title = slide.shapes.title
    if title is not None:
        yield heading(title.text_frame.text, 1)
    yield from _shapes(slide.shapes, title.shape_id if title is not None else None, 0)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = slide.notes_slide.notes_text_frame.text.strip()
        yield f"Notes: {notes}" if notes else ""


def _shapes(shapes: Iterable[Any], title: int | None, depth: int) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            if depth < _DEEPEST_GROUP:
                yield from _shapes(shape.shapes, title, depth + 1)
        elif shape.has_text_frame:
            if shape.shape_id != title:
                yield _frame(shape)
        elif getattr(shape, "has_table", False):
            yield from tables([cell.text for cell in row.cells] for row in shape.table.rows)


def _frame(shape: Any) -> str:
    paragraphs = [(each.level, each.text.replace("\v", "\n").strip()) for each in shape.text_frame.paragraphs]
    lines = [(level, text) for level, text in paragraphs if text]
    if len(lines) < 2 and not any(level for level, _ in lines):
        return "\n".join(text for _, text in lines)
    return "\n".join(f"{'  ' * level}- {text}" for level, text in lines)
