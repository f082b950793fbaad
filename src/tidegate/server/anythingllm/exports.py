"""The endpoints that hand out all chats of a caller: as pages of a table, and as files to train on.

A file is written while the chats are read, a few hundred at a time, so that it needs no memory of its size.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tidegate.access import Caller
from tidegate.server.anythingllm.asked import caller_of, read_asked
from tidegate.server.anythingllm.reach import all_of
from tidegate.server.anythingllm.told import answer, chat_row, who_asked
from tidegate.store.chats import OwnedChat
from tidegate.store.workspaces import Workspace
from tidegate.wire.ascii_json import ascii_json
from tidegate.workspaces.service import Workspaces
from tidegate.workspaces.settings import DEFAULT_PROMPT, moment, read_settings, read_whole

_PAGE: Final = 20
_TOGETHER: Final = 200
_COLUMNS: Final = ("id", "workspace", "prompt", "response", "sent_at", "username", "rating")
_RATINGS: Final = {None: "--", True: "GOOD", False: "BAD"}

_CONTENT_TYPES: Final[Mapping[str, str]] = {
    "jsonl": "application/jsonl",
    "json": "application/json",
    "csv": "text/csv",
    "jsonAlpaca": "application/json",
}


class ExportEndpoints:
    """For the ASGI application. ``max_body`` gives the limit of a request's bytes."""

    def __init__(self, kept: Workspaces, max_body: Callable[[], int]) -> None:
        self._kept = kept
        self._max_body = max_body

    async def workspace_chats(self, request: Request) -> Response:
        """``POST /admin/workspace-chats``: 20 a page, the newest first; ``offset`` counts pages."""
        asked = await read_asked(request, self._max_body)
        caller = caller_of(request)
        offset = read_whole(asked.get("offset"), 0, 0) * _PAGE
        found = await self._kept.chats.page(caller.id, offset, _PAGE + 1, caller.workspaces)
        return answer({"chats": [chat_row(each) for each in found[:_PAGE]], "hasPages": len(found) > _PAGE})

    async def export(self, request: Request) -> Response:
        """``GET /system/export-chats``; of one workspace, where ``workspace`` names its slug."""
        wanted = request.query_params.get("type", "jsonl")
        content_type = _CONTENT_TYPES.get(wanted)
        if content_type is None:
            return answer({"message": f"Invalid export type: {wanted}"}, 400)
        caller = caller_of(request)
        owned = await all_of(self._kept, caller)
        only = request.query_params.get("workspace")
        if only is not None:
            owned = [each for each in owned if each.slug == only]
            if not owned:
                return answer({"message": f"Workspace {only} is not a valid workspace."}, 400)
            caller = replace(caller, workspaces=(only,))
        pieces = (
            self._conversations(caller, owned) if wanted == "jsonl" else self._rows(caller, owned, wanted)
        )
        return StreamingResponse(pieces, media_type=content_type)

    async def _rows(self, caller: Caller, owned: Sequence[Workspace], wanted: str) -> AsyncIterator[str]:
        """The chats one by one, the oldest first."""
        prompts = {each.id: _prompt(each) for each in owned}
        write = _csv_rows if wanted == "csv" else _json_rows
        shape = _instruction if wanted == "jsonAlpaca" else _row
        yield ",".join(_COLUMNS) if wanted == "csv" else "["
        at, comma = 0, ""
        while chats := await self._kept.chats.after(caller.id, at, _TOGETHER, caller.workspaces):
            rows = [shape(each, prompts.get(each.chat.workspace, DEFAULT_PROMPT), wanted) for each in chats]
            yield comma + await asyncio.to_thread(write, rows)
            at, comma = chats[-1].chat.id, "" if wanted == "csv" else ","
        if wanted != "csv":
            yield "\n]" if comma else "]"

    async def _conversations(self, caller: Caller, owned: Sequence[Workspace]) -> AsyncIterator[str]:
        """A line for each workspace, with all that was said in it."""
        line = ""
        for each in owned:
            begun = False
            numbers = await self._kept.chats.numbers(each.id)
            for at in range(0, len(numbers), _TOGETHER):
                chats = await self._kept.chats.of_numbers(caller.id, numbers[at : at + _TOGETHER])
                if chats and not begun:
                    begun = True
                    system = {"role": "system", "content": _said(_prompt(each))}
                    yield f'{line}{{"messages":[{ascii_json(system)}'
                    line = "]}\n"
                yield await asyncio.to_thread(_turns, chats)
        if line:
            yield "]}"


def _prompt(workspace: Workspace) -> str:
    return read_settings(workspace.settings).open_ai_prompt or DEFAULT_PROMPT


def _text(chat: OwnedChat) -> str:
    text = chat.chat.response.get("text")
    return text if isinstance(text, str) else ""


def _images(chat: OwnedChat) -> list[dict[str, Any]]:
    attached = chat.chat.response.get("attachments") or []
    return [{"type": "image", "image": _data_url(each)} for each in attached if isinstance(each, dict)]


def _data_url(attachment: Mapping[str, Any]) -> str:
    content = str(attachment.get("contentString", ""))
    return content if content.startswith("data:") else f"data:{attachment.get('mime')};base64,{content}"


def _row(owned: OwnedChat, _: str, wanted: str) -> dict[str, Any]:
    chat = owned.chat
    told = {
        "id": chat.id,
        "prompt": chat.prompt,
        "response": _text(owned),
        "sent_at": moment(chat.created_ms),
    }
    if wanted == "json":
        told["attachments"] = _images(owned)
    return {
        **told,
        "workspace": owned.name,
        "username": who_asked(owned, "unknown user"),
        "rating": _RATINGS[chat.feedback],
    }


def _instruction(owned: OwnedChat, prompt: str, _: str) -> dict[str, Any]:
    """A chat as Alpaca's data set has them, with what was found for it."""
    sources = owned.chat.response.get("sources") or []
    texts = [each.get("text", "") for each in sources if isinstance(each, dict)]
    shown = (f"[CONTEXT {at}]:\n{text}\n[END CONTEXT {at}]\n\n" for at, text in enumerate(texts))
    context = "\nContext:\n" + "".join(shown) if texts else ""
    return {"instruction": prompt + context, "input": owned.chat.prompt, "output": _text(owned)}


def _json_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of an indented list, without its brackets."""
    written = (json.dumps(row, indent=4).replace("\n", "\n    ") for row in rows)
    return ",".join(f"\n    {each}" for each in written)


def _csv_rows(rows: Sequence[dict[str, Any]]) -> str:
    return "".join("\n" + ",".join(_cell(row[name]) for name in _COLUMNS) for row in rows)


def _cell(value: object) -> str:
    text = str(value).replace('"', '""').replace("\n", " ")
    return f'"{text}"'


def _said(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}]


def _turns(chats: Sequence[OwnedChat]) -> str:
    """Questions and answers, each behind a comma."""
    turns = []
    for each in chats:
        turns.append({"role": "user", "content": [*_said(each.chat.prompt), *_images(each)]})
        turns.append({"role": "assistant", "content": _said(_text(each))})
    return "".join(f",{ascii_json(turn)}" for turn in turns)
