"""The operations on streams that were begun before."""

from __future__ import annotations

from typing import Any, Final

from tidegate.server import urls
from tidegate.server.openapi.shared import failed, generation_headers, json_content, object_of, ref
from tidegate.server.streams.asked import SHOWN_IN

Json = dict[str, Any]

TAGS: Final = [{"name": "streams", "description": "Read on, look at or stop what was begun before."}]

_STRING: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_STATUSES: Final = ["running", "completed", "failed", "cancelled", "interrupted"]

_READ = """\
Read a stream from any place: what is there of it, and then what comes, to its end. In the dialect that it \
was asked in the rest is byte for byte what its first reader got, keep-alives aside, whatever became of that.

**Where** it begins: `after` an event, behind `skip` frames, or at the `Last-Event-ID` of the frame that \
came last, which wins; at the beginning without any of them. **What** comes: server-sent events, or the \
state as JSON where `Accept` names `application/json`. `stream=true` is always events, and `stream=false` \
the whole answer as a request without `stream` gets it, when the stream has ended.

Another reader is another reader: any number may read one stream, each at its own speed, and the last one to \
leave decides by the stream's `Tidegate-On-Disconnect`."""


def paths() -> Json:
    """Operations by path, without its ``/v1``, and method."""
    return {
        urls.STREAMS: {"get": _list(), "delete": _cancel_by_key()},
        urls.STREAM: {"get": _read(), "delete": _cancel()},
        urls.STREAM_INPUT: {"post": _answer()},
    }


def schemas() -> Json:
    """The schemas of streams."""
    state = _state()
    page = {"type": ["string", "null"]}
    members = {name: schema for name, schema in state["properties"].items() if name != "text"}
    return {
        "Stream": state,
        "StreamPage": object_of(
            {
                "object": {"const": "list"},
                "data": {"type": "array", "items": object_of(members)},
                "first_id": page,
                "last_id": page,
                "has_more": {"type": "boolean"},
            }
        ),
    }


def _list() -> Json:
    answers = {
        "200": {
            "description": "The newest first, without their text.",
            "content": json_content(ref("schemas", "StreamPage")),
        },
        "400": failed("A parameter is wrong."),
        "404": failed("There is no stream of the id in `after`."),
        "410": failed("The stream in `after` has expired."),
    }
    parameters = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "How many."),
        _query("after", _STRING, "The `last_id` of the page before."),
        _query("status", {"enum": _STATUSES}, "Only these."),
    ]
    return {**_operation("listStreams", "List one's own streams", answers), "parameters": parameters}


def _read() -> Json:
    content = {
        "text/event-stream": {"schema": _STRING},
        **json_content(ref("schemas", "Stream")),
    }
    answers = {
        "200": {
            "description": "The stream from there on, or its state.",
            "headers": generation_headers(),
            "content": content,
        },
        "204": {"description": "The stream has ended, and nothing of it is left behind that place."},
        "400": failed(
            "A parameter is wrong, or the place is beyond the end; the message says where that is."
        ),
        **_missing(),
    }
    after = "An event's number, or a frame's `id:` as in `Last-Event-ID`: `17` or `17-2`."
    parameters = [
        _path(),
        _query("after", _STRING, after),
        _query("skip", _COUNT, "Frames of this rendering to leave out; keep-alives do not count."),
        _query("dialect", {"enum": list(SHOWN_IN)}, "The one that it was asked in by default."),
        _query("stream", {"type": "boolean"}, "Events whatever `Accept` says, or one whole answer."),
        _query("event_ids", {"enum": [0, 1]}, "As the header `Tidegate-Event-Ids`."),
        _header("Last-Event-ID", "The `id:` of the last frame that came."),
        _header("Tidegate-Event-Ids", "`1` puts an `id:` line before every frame."),
    ]
    operation = _operation("readStream", "Read a stream on, or look at it", answers)
    return {**operation, "description": _READ, "parameters": parameters}


def _cancel() -> Json:
    state = json_content(ref("schemas", "Stream"))
    answers = {
        "200": {"description": "It has ended; `status` says how, which may be long ago.", "content": state},
        "202": {"description": "It has been told to end and has not yet.", "content": state},
        **_missing(),
    }
    operation = _operation("cancelStream", "Stop a stream", answers)
    description = "Its upstream's connection is closed. All its readers get the error `cancelled` as its end."
    return {**operation, "description": description, "parameters": [_path()]}


def _answer() -> Json:
    given = {
        "id": {**_STRING, "description": "Of the question; needed where several are open."},
        "text": {**_STRING, "description": "The answer, in words."},
        "approve": {"type": "boolean", "description": "Of a question whose `kind` is `approval`."},
        "input": {"description": "Any JSON value: one that fits the `schema` of the question."},
    }
    body = {"type": "object", "properties": given, "minProperties": 1}
    told = object_of({"object": {"const": "stream.input"}, "stream": _STRING, "id": _STRING})
    answers = {
        "200": {"description": "It is kept, and the stream goes on.", "content": json_content(told)},
        "400": failed("The answer does not fit, or does not say which of several questions it is for."),
        "404": failed("There is no such stream."),
        "409": failed("The stream asks for nothing now."),
        "410": failed("The time for this answer is over, or the stream has expired."),
    }
    operation = _operation("answerStream", "Answer what a stream asks for", answers)
    description = (
        "An agent may ask the person behind a stream: `input_required` of its state says what, and readers "
        "get it as an item of that kind. Send one of `text`, `approve` and `input`."
    )
    return {
        **operation,
        "description": description,
        "parameters": [_path()],
        "requestBody": {"required": True, "content": json_content(body)},
    }


def _cancel_by_key() -> Json:
    asked = _query("idempotency_key", _STRING, "The `Idempotency-Key` of the request that began it.")
    operation = _cancel()
    operation["operationId"] = "cancelStreamOfKey"
    operation["summary"] = "Stop the stream of a request"
    missing = failed("`idempotency_key` is missing.")
    answers = {"400": missing, **operation["responses"]}
    return {**operation, "parameters": [{**asked, "required": True}], "responses": answers}


def _missing() -> Json:
    return {
        "404": failed("There is no such stream, and there was none lately."),
        "410": failed("It has expired (`streams.retain`) and is not kept any more."),
    }


def _state() -> Json:
    nothing = {"type": "null"}
    error = object_of(
        {
            "message": _STRING,
            "type": _STRING,
            "param": {"type": ["string", "null"]},
            "code": {"type": ["string", "null"]},
            "status": {"type": "integer"},
        }
    )
    names = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
    attempt = object_of(
        {"deployment": _STRING, "began_ms": _COUNT, "seconds": {"type": "number"}, "outcome": _STRING}
    )
    seam = object_of({"seq": _COUNT, "characters": _COUNT, "before": _STRING, "after": _STRING})
    return object_of(
        {
            "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "object": {"const": "stream"},
            "status": {"enum": _STATUSES},
            "model": _STRING,
            "dialect": {"type": "string", "description": "The one that it was asked in."},
            "created": {"type": "integer", "description": "Unix time in seconds."},
            "stream": {"type": "boolean", "description": "Whether it was asked for as a stream."},
            "on_disconnect": {"enum": ["cancel", "drain", "detach"]},
            "last_seq": {**_COUNT, "description": "The number of its last event so far."},
            "outcome": {"enum": [*_STATUSES[1:], None]},
            "error": {"anyOf": [error, nothing]},
            "usage": {"anyOf": [object_of(dict.fromkeys(names, _COUNT)), nothing]},
            "input_required": {
                "type": "array",
                "items": _question(),
                "description": "What it waits for: answered at `url`.",
            },
            "attempts": {"type": "array", "items": attempt},
            "seams": {"type": "array", "items": seam},
            "text": {"type": "string", "description": "Of its first choice, so far."},
        }
    )


def _question() -> Json:
    told = object_of(
        {"id": _STRING, "question": _STRING, "kind": {"enum": ["text", "approval"]}, "url": _STRING}
    )
    more = {
        "schema": {"type": "object", "description": "The JSON schema of the answer."},
        "expires_at": {"type": "number", "description": "Unix time in seconds."},
        "about": {"type": "object", "description": "For programs that show it."},
    }
    return {**told, "properties": {**told["properties"], **more}}


def _path() -> Json:
    about = "What `Tidegate-Stream` said."
    return {"name": "stream_id", "in": "path", "required": True, "schema": _STRING, "description": about}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "schema": _STRING, "description": description}


def _operation(name: str, summary: str, answers: Json) -> Json:
    everywhere = {
        "401": ref("responses", "Unauthenticated"),
        "403": failed("It is another key's stream, or while access is open: not from this machine."),
    }
    return {
        "operationId": name,
        "tags": ["streams"],
        "summary": summary,
        "responses": dict(sorted({**answers, **everywhere}.items())),
    }
