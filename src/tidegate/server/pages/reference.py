"""The API reference: the OpenAPI document as a page, made on the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tidegate.server.openapi import document
from tidegate.server.pages.markup import block, code, link, page, prose, spans, table, text

Json = dict[str, Any]


@cache
def docs() -> str:
    """The page at ``/docs``, which is made once, for the first who asks."""
    source = document()
    info = source["info"]
    operations = list(_operations(source))
    body = (
        f"<header><h1>{text(info['title'])} API <small>{text(info['version'])}</small></h1>"
        f"<p>{text(info['summary'])}</p><nav>{link('/', 'Start')}{link('/openapi.json', 'openapi.json')}"
        f"{link('#keys', 'Keys')}{link('#schemas', 'Schemas')}</nav></header><main>"
        + _contents(operations)
        + f"<h2>In general</h2>{prose(info['description'])}"
        + _keys(source)
        + "".join(_operation(*operation, source) for operation in operations)
        + _schemas(source)
        + "</main>"
    )
    return page("Tidegate API", body)


def _operations(source: Json) -> Iterator[tuple[str, str, Json]]:
    """(method, path, operation), in the order of the document."""
    for path, methods in source["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _contents(operations: list[tuple[str, str, Json]]) -> str:
    lines = (
        f'<a href="#{text(operation["operationId"])}"><b class="method">{text(method)}</b>{code(path)}'
        f"<span>{text(operation['summary'])}</span></a>"
        for method, path, operation in operations
    )
    return f'<nav class="list" aria-label="Operations">{"".join(lines)}</nav>'


def _keys(source: Json) -> str:
    rows = (
        (code(name), code(f"{scheme.get('name', 'Authorization')}: {_key_form(scheme)}"))
        for name, scheme in source["components"]["securitySchemes"].items()
    )
    return f'<h2 id="keys">Keys</h2><p>Any one of these.</p>{table(("Scheme", "Header"), rows)}'


def _key_form(scheme: Mapping[str, str]) -> str:
    return "Bearer KEY" if scheme["type"] == "http" else "KEY"


def _operation(method: str, path: str, operation: Json, source: Json) -> str:
    return (
        f'<section id="{text(operation["operationId"])}">'
        f'<h2><span class="method">{text(method)}</span> <span class="path">{text(path)}</span></h2>'
        f"<h3>{text(operation['summary'])}</h3>{prose(operation.get('description', ''))}"
        + ("<p>Needs no key.</p>" if operation.get("security") == [] else "")
        + _parameters(operation.get("parameters", []))
        + _body(operation.get("requestBody"))
        + _responses(operation["responses"], source)
        + "</section>"
    )


def _parameters(parameters: list[Json]) -> str:
    rows = [
        (code(each["name"]), text(each["in"]), _type(each["schema"]), spans(each.get("description", "")))
        for each in parameters
    ]
    return (
        "<h4>Parameters</h4>" + table(("Name", "In", "Type", "Meaning"), rows, stacked=True) if rows else ""
    )


def _body(body: Json | None) -> str:
    if body is None:
        return ""
    kinds: Json = body["content"]
    content = kinds.get("application/json", {})
    types = "<br>".join(
        _type(each["schema"]) if kind == "application/json" else f"{code(kind)} {_type(each['schema'])}"
        for kind, each in kinds.items()
    )
    examples = "".join(
        f"<p>{text(example['summary'])}</p>{block(json.dumps(example['value']))}"
        for example in content.get("examples", {}).values()
    )
    return f"<h4>Body</h4><p>{types}</p>{examples}"


def _responses(responses: Json, source: Json) -> str:
    rows, examples = [], ""
    for status, named in responses.items():
        response = _resolved(named, source)
        content: Json = response.get("content", {})
        kinds = "<br>".join(f"{code(kind)} {_type(each['schema'])}" for kind, each in content.items())
        headers = ", ".join(code(name) for name in response.get("headers", {}))
        meaning = spans(response["description"]) + (f"<br><small>with</small> {headers}" if headers else "")
        rows.append((f'<b class="status-{text(status[0])}">{text(status)}</b>', kinds, meaning))
        examples += "".join(
            f"<p>For example, as {code(kind)}:</p>{block(each['example'].rstrip())}"
            for kind, each in content.items()
            if "example" in each
        )
    return "<h4>Answers</h4>" + table(("Status", "Body", "When"), rows, stacked=True) + examples


def _schemas(source: Json) -> str:
    parts = (
        f'<section id="schema-{text(name)}"><h3>{text(name)}</h3>{prose(schema.get("description", ""))}'
        + table(("Member", "Type", "Meaning"), _members(schema), stacked=True)
        + "</section>"
        for name, schema in source["components"]["schemas"].items()
    )
    return f'<h2 id="schemas">Schemas</h2>{"".join(parts)}'


def _members(schema: Json, within: str = "") -> Iterator[tuple[str, str, str]]:
    """Rows for the members of an object, those of an object inside it with their path."""
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        needed = " <small>required</small>" if name in required and not within else ""
        yield code(within + name) + needed, _type(member), spans(member.get("description", ""))
        yield from _members(member, f"{within}{name}.")


def _type(schema: Json) -> str:
    """A schema in a few words, with links to the named ones."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return link(f"#schema-{name}", name)
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(_type(each) for each in schema["oneOf"])
    kinds = schema.get("type", "any")
    words = " or ".join(text(kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))
    if schema.get("items"):
        words += f" of {_type(schema['items'])}"
    return words


def _resolved(value: Json, source: Json) -> Json:
    """A response, followed where it is a reference."""
    if "$ref" not in value:
        return value
    found: Any = source
    for part in value["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    resolved: Json = found
    return resolved
