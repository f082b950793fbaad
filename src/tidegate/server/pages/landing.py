"""The landing page: what runs here, and lines to copy. Anybody may read it, also where keys are required."""

from __future__ import annotations

import json
import shlex
from itertools import islice

from tidegate import __version__
from tidegate.routing.table import Route, Routes
from tidegate.server.pages.markup import block, code, link, page, spans, table, text

_MOST_MODELS = 50
_KEY = "TIDEGATE_API_KEY"


def landing(routes: Routes | None, url: str) -> str:
    """The page for readers who reached the server at ``url``, a bare address.

    ``routes`` is what may be told about models: None where that needs a key.
    """
    model = "demo" if routes is None else routes.default or next((route.model for route in routes), "demo")
    locked = routes is None
    body = (
        f"<header><h1>Tidegate <small>{text(__version__)}</small></h1>"
        "<p>A streaming gateway for language models is serving at "
        f"{code(url)}: OpenAI's API in front of every model that it found.</p>"
        f"<nav>{link('/docs', 'API reference')}{link('/openapi.json', 'openapi.json')}"
        f"{link('/healthz', 'Health')}{link('/readyz', 'Readiness')}"
        + ("" if locked else link("/metrics", "Metrics"))
        + "</nav></header><main>"
        + (_locked() if routes is None else _models(routes))
        + _lines(model, url, locked=locked)
        + "</main>"
    )
    return page("Tidegate", body)


def _locked() -> str:
    return (
        "<section><h2>Models</h2><p>Callers need a key here. With one, "
        f"{code('GET /v1/models')} lists the models; {code('demo')} is always among them.</p></section>"
    )


def _models(routes: Routes) -> str:
    count = f"{len(routes)} model{'' if len(routes) == 1 else 's'}"
    rows = [_row(route, routes.default) for route in islice(routes, _MOST_MODELS)]
    more = len(routes) - len(rows)
    rest = f"<p>and {more} more in {link('/v1/models', 'the whole list')}</p>" if more > 0 else ""
    default = (
        ""
        if routes.default is not None
        else f"<p>There is no default: a request must name its {code('model')}.</p>"
    )
    listed = table(("Name", "Answered by", "Context"), rows, stacked=True)
    return f"<section><h2>{count}</h2>{listed}{rest}{default}</section>"


def _row(route: Route, default: str | None) -> tuple[str, str, str]:
    is_default = " <small>default</small>" if route.model == default else ""
    length = route.facts.get("context_length")
    shown = f"{length:,} tokens" if isinstance(length, int) else ""
    deployments = ", ".join(deployment.name for deployment in route.deployments)
    return code(route.model) + is_default, text(deployments), text(shown)


def _lines(model: str, url: str, *, locked: bool) -> str:
    key_note = f"<p>{spans(f'`{_KEY}` stands for your key: `export {_KEY}=…` first.')}</p>" if locked else ""
    return (
        f"<section><h2>Try it</h2>{key_note}"
        f"<h3>curl</h3>{block(_curl(model, url, locked=locked))}"
        f"<h3>Python, with OpenAI's SDK</h3>{block(_python(model, url, locked=locked))}"
        f"<h3>In the terminal</h3>{block(_terminal(model, url))}</section>"
    )


def _curl(model: str, url: str, *, locked: bool) -> str:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    key = f' -H "Authorization: Bearer ${_KEY}"' if locked else ""
    return (
        f"curl -N {shlex.quote(url + '/v1/chat/completions')}{key} \\\n  -d {shlex.quote(json.dumps(body))}"
    )


def _python(model: str, url: str, *, locked: bool) -> str:
    key = f'os.environ["{_KEY}"]' if locked else '"any"'
    return (
        ("import os\n\n" if locked else "") + "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{url}/v1", api_key={key})\n'
        "for chunk in client.chat.completions.create(\n"
        f"    model={json.dumps(model, ensure_ascii=False)},\n"
        '    messages=[{"role": "user", "content": "Hello"}],\n'
        "    stream=True,\n"
        "):\n"
        '    print(chunk.choices[0].delta.content or "", end="", flush=True)'
    )


def _terminal(model: str, url: str) -> str:
    return f"tidegate chat --url {shlex.quote(url)} {shlex.quote(model)}"
