"""Writes a tutorial from one line: an outline first, then every section, several at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec import Struct

from tidegate.agents import AgentError, AgentRequest, Asking, Context, agent
from tidegate.errors import TidegateError

_MOST_SECTIONS = 30


class Section(Struct):
    """A section of the outline, and what its parts are about."""

    title: str
    parts: list[str] = []


class Outline(Struct):
    """What the tutorial will hold."""

    title: str
    sections: list[Section]


@agent("write_tutorial", description="Writes a tutorial on a subject, in Markdown, and saves it as a file.")
async def write_tutorial(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Write a tutorial about what the user said last.

    Options: ``language``, else the one that the subject is written in; ``agent_model``, the model that
    writes; ``at_once``, the number of sections that are written at a time.
    """
    subject = request.text.strip()
    if not subject:
        raise AgentError("say what the tutorial is to be about", status=400, code="no_subject")
    language = request.option("language")
    wanted = f"in {language}" if language else "in the language in which the subject is given"

    context.status("Planning the outline", step=0)
    outline = await outline_of(context, subject, wanted)
    total = len(outline.sections)
    context.status(f"Outline: {total} sections", step=0, of=total)

    parts: list[str] = []
    async for piece in written(context, outline, wanted, at_once=_at_once(request)):
        parts.append(piece)
        yield piece
    try:
        await context.file(f"{outline.title}.md", "".join(parts))
    except TidegateError as error:  # the tutorial itself is whole
        context.status(f"Not saved: {error.message}")


async def written(context: Context, outline: Outline, wanted: str, *, at_once: int) -> AsyncIterator[str]:
    """The whole document, in order."""
    total = len(outline.sections)
    yield f"# {outline.title}\n"
    sections = [
        context.step(f"section-{number}", lambda each=each: write(context, outline, each, wanted))  # type: ignore[misc]
        for number, each in enumerate(outline.sections, 1)
    ]
    number = 0
    async for text in context.ahead(sections, at_once=at_once):
        section = outline.sections[number]
        number += 1
        context.status(f"Section {number} of {total}: {section.title}", step=number, of=total)
        yield f"\n\n## {section.title}\n\n"
        async for piece in text:
            yield piece
    yield "\n"


async def outline_of(context: Context, subject: str, wanted: str) -> Outline:
    """The outline, made once; sections beyond the most are left out."""
    prompt = (
        "You are an experienced technical author. Plan a tutorial on the subject between the marks. Give it "
        "a title and a handful of sections, each with the parts that it is to cover, specific to the subject "
        f"and in an order in which a reader can follow. Write {wanted}.\n<subject>\n{subject}\n</subject>"
    )

    async def plan() -> object:
        outline = await context.ask_for(Outline, None, prompt)
        sections = [each for each in outline.sections if each.title.strip()]
        if not sections:
            raise AgentError("the model planned a tutorial without any section")
        return {
            "title": outline.title.strip() or subject,
            "sections": [{"title": each.title, "parts": each.parts} for each in sections[:_MOST_SECTIONS]],
        }

    found = await context.step("outline", plan)
    sections = [Section(each["title"], each["parts"]) for each in found["sections"]]
    return Outline(found["title"], sections)


def write(context: Context, outline: Outline, section: Section, wanted: str) -> Asking:
    """The text of one section, without its heading."""
    others = "\n".join(f"- {each.title}" for each in outline.sections)
    parts = "\n".join(f"- {each}" for each in section.parts) or "- whatever it needs"
    prompt = (
        f"You are writing the tutorial {outline.title!r}. Its sections are:\n{others}\n\n"
        f"Write the section {section.title!r} {wanted}, in Markdown, with examples of commented code where "
        f"they help. Cover:\n{parts}\n\n"
        "Begin with the content itself: the heading is there already, so use headings of the third level "
        "and deeper only. Leave out any preamble, any summary and anything that belongs to other sections."
    )
    return context.ask(None, prompt)


def _at_once(request: AgentRequest) -> int:
    wanted = request.option("at_once", 3)
    return wanted if isinstance(wanted, int) and 1 <= wanted <= 16 else 3
