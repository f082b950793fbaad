"""Reads mails and mailboxes, and the documents that are attached to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from email.utils import parsedate_to_datetime
from typing import Any, Final

from tidegate.errors import Unreadable
from tidegate.workspaces.document import Page, Parsed
from tidegate.workspaces.parsing.file import File
from tidegate.workspaces.parsing.letters import clean, decode
from tidegate.workspaces.parsing.markdown import heading, joined, one_line
from tidegate.workspaces.parsing.plain_html import html_text

_ENVELOPE: Final = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]*\d{4}[^\r\n]*\r?\n")
_FIELDS: Final = ("From", "To", "Cc", "Date")
_MOST_ATTACHMENTS: Final = 100
_LONGEST_FIELD: Final = 1000


def read(file: File) -> Parsed:
    if _ENVELOPE.match(file.data):
        pages = tuple(Page(_written(each, file)) for each in _messages(file.data))
        return Parsed(pages=pages)
    message = _parsed(file.data)
    return Parsed(
        pages=(Page(_written(message, file)),),
        title=_field(message, "Subject"),
        author=_field(message, "From"),
        published=_date(message),
    )


def _parsed(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=policy.default)


def _messages(data: bytes) -> Iterator[EmailMessage]:
    starts = [(each.start(), each.end()) for each in _ENVELOPE.finditer(data)]
    ends = [start for start, _ in starts[1:]] + [len(data)]
    for (_, begin), end in zip(starts, ends, strict=True):
        yield _parsed(re.sub(rb"(?m)^>(>*From )", rb"\1", data[begin:end]))


def _written(message: EmailMessage, file: File) -> str:
    fields = [f"{name}: {value}" for name in _FIELDS if (value := _field(message, name))]
    body = file.counted(_body(message))
    return joined(
        [heading(_field(message, "Subject"), 1), "\n".join(fields), body, *_attachments(message, file)]
    )


def _field(message: EmailMessage, name: str) -> str:
    try:
        value = message[name]
    except Exception:  # the library fails on some fields that are not as they should be
        value = next((each for field, each in message.raw_items() if field.lower() == name.lower()), "")
    return one_line(clean(str(value or "")))[:_LONGEST_FIELD]


def _date(message: EmailMessage) -> str:
    try:
        return parsedate_to_datetime(_field(message, "Date")).isoformat()
    except (ValueError, TypeError, IndexError):
        return ""


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    text = _text(part)
    return html_text(text)[1] if part.get_content_type() == "text/html" else clean(text).strip()


def _text(part: MIMEPart) -> str:
    return decode(_bytes(part), part.get_content_charset())


def _bytes(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _attachments(message: EmailMessage, file: File) -> Iterator[str]:
    from tidegate.workspaces.parsing.reading import read as read_any  # noqa: PLC0415 - each reads the other

    for count, part in enumerate(message.iter_attachments()):
        if count >= _MOST_ATTACHMENTS:
            return
        name = one_line(part.get_filename() or "")
        if part.get_content_type() == "message/rfc822":
            inner: Any = part.get_payload(0)
            data, kind = inner.as_bytes(), "message/rfc822"
        else:
            data, kind = _bytes(part), part.get_content_type()
        if not data or kind.startswith(("image/", "audio/", "video/")):
            continue
        yield heading(f"Attachment: {name or kind}", 2)
        if file.depth >= file.limits.depth:
            yield "(not read: too many documents lie within one another)"
            continue
        try:
            parsed = read_any(file.within(data, name, kind))
        except Unreadable as error:
            if error.code == "too_large":
                raise
            yield f"(not read: {error.message.partition(';')[0]})"
        else:
            yield parsed.text
