"""The pages: whole, harmless whatever a model is called, and with lines that work when they are copied."""

from __future__ import annotations

import json
import shlex
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.examples import Example, run
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually
from tests.raw_http import RawConnection, fetch, request_bytes
from tidegate.config import Retry, Timeouts
from tidegate.core.clock import Clock
from tidegate.routing.health import Health
from tidegate.routing.table import Deployment, Route, Routes
from tidegate.server.openapi import document
from tidegate.server.pages import CONTENT_SECURITY_POLICY, base_url, docs, landing
from tidegate.server.pages.markup import prose
from tidegate.sources.demo import DemoSource

VOID = {"meta", "br", "link", "img", "hr"}
HOSTILE = "</code><script>alert('1')</script>\"'$(touch x) & `id`"


class Page(HTMLParser):
    """What a page holds; fails at a tag that is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "pre":
            self.blocks.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "pre" in self.open:
            self.blocks[-1] += data

    def handle_entityref(self, name: str) -> None:
        self.handle_data(unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        self.handle_data(unescape(f"&#{name};"))

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


class Standstill:
    """A clock that shows the same time for ever."""

    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0


def routes_of(names: list[str], default: str | None = None) -> Routes:
    clock: Clock = Standstill()

    def route(name: str) -> Route:
        deployment = Deployment(f"up/{name}", DemoSource(0), Health(clock))
        return Route(name, (deployment,), Timeouts(), Retry(), facts={"context_length": 4096})

    return Routes([route(name) for name in names], default, lambda _: None)


def check_harmless(page: Page) -> None:
    """Nothing that runs, nothing from elsewhere, and every link within the page leads somewhere."""
    assert not {"script", "iframe", "object", "embed", "form", "base", "img", "link"} & {
        tag for tag, _ in page.tags
    }
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert page.values("src") == []
    anchors = page.values("id")
    assert len(anchors) == len(set(anchors))
    for target in page.values("href"):
        assert target.startswith("/") or target.removeprefix("#") in anchors, target


# The API reference.


def test_reference_is_whole_and_harmless() -> None:
    page = Page(docs())
    check_harmless(page)
    assert "url(" not in docs()
    assert "prefers-color-scheme: dark" in docs()


def test_reference_shows_every_operation_and_schema() -> None:
    page = Page(docs())
    source = document()
    names = [each["operationId"] for methods in source["paths"].values() for each in methods.values()]
    assert {*names, *(f"schema-{name}" for name in source["components"]["schemas"])} <= set(page.values("id"))
    for path, methods in source["paths"].items():
        assert path in page.text
        for operation in methods.values():
            assert all(status in page.text for status in operation["responses"])


def test_markdown_is_rendered_and_the_rest_escaped() -> None:
    assert prose("**a** `<b>`\n\nc & d") == "<p><strong>a</strong> <code>&lt;b&gt;</code></p><p>c &amp; d</p>"


# The landing page.


def test_landing_lists_the_first_fifty_models() -> None:
    page = Page(landing(routes_of([f"model-{number}" for number in range(60)]), "http://127.0.0.1:7860"))
    check_harmless(page)
    assert "60 models" in page.text
    assert "model-49" in page.text
    assert "model-50" not in page.text
    assert "10 more" in page.text


def test_landing_without_a_default_says_so() -> None:
    named = Page(landing(routes_of(["one"], "one"), "http://127.0.0.1:7860"))
    assert "There is no default" not in named.text
    assert "There is no default" in Page(landing(routes_of(["one"]), "http://127.0.0.1:7860")).text


def test_hostile_names_stay_text() -> None:
    """As markup, and in the lines that people paste into a shell."""
    page = Page(landing(routes_of([HOSTILE], HOSTILE), "http://127.0.0.1:7860"))
    check_harmless(page)
    assert HOSTILE in page.text
    curl, python, terminal = page.blocks
    assert json.loads(shlex.split(curl)[-1])["model"] == HOSTILE
    assert shlex.split(terminal)[-1] == HOSTILE
    assert json.dumps(HOSTILE) in python


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:7860", "http://127.0.0.1:7860"),
        ("[::1]:7860", "http://[::1]:7860"),
        ("gateway.example", "http://gateway.example"),
        ("x;touch y", "http://10.0.0.1:80"),
        ('"><script>', "http://10.0.0.1:80"),
        ("[", "http://10.0.0.1:80"),
        ("", "http://10.0.0.1:80"),
        (None, "http://10.0.0.1:80"),
    ],
)
def test_address_comes_from_a_sound_host_only(host: str | None, expected: str) -> None:
    assert base_url("http", host, ("10.0.0.1", 80)) == expected


def test_address_of_the_socket_is_written_as_an_address() -> None:
    assert base_url("https", None, ("::1", 443)) == "https://[::1]:443"
    assert base_url("http", None, None) == "http://127.0.0.1"


# Served.


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_are_served_with_their_policy(gateway: Gateway, path: str) -> None:
    response = fetch(gateway.address, "GET", path)
    assert response.status == 200
    assert response.head.get("content-type") == "text/html; charset=utf-8"
    assert response.head.get("content-security-policy") == CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; style-src 'unsafe-inline'")
    page = Page(response.body.decode("utf-8"))
    check_harmless(page)
    for target in page.values("href"):
        if target.startswith("/"):
            assert fetch(gateway.address, "GET", target).status == 200


def test_lines_of_the_landing_page_work(gateway: Gateway, tmp_path: Path) -> None:
    """They print an answer when they are pasted as they stand, but for the model's name."""
    page = Page(fetch(gateway.address, "GET", "/").body.decode("utf-8"))
    curl, python, terminal = (each.replace('"m"', '"demo"') for each in page.blocks)
    assert gateway.url in curl
    assert "[DONE]" in run(Example("landing", 0, "bash", curl, ""), gateway, tmp_path)
    assert "demo model of Tidegate" in run(Example("landing", 0, "python", python, ""), gateway, tmp_path)
    chat = f"echo Hello | {terminal.removesuffix('m')}demo"
    assert "demo model of Tidegate" in run(Example("landing", 0, "bash", chat, ""), gateway, tmp_path)


def test_landing_keeps_models_to_itself_where_keys_are_required(start_gateway: StartGateway) -> None:
    models = {"secret-project": {"use": ["up/x"], "retry": {"attempts": 1}}}
    providers = {"up": {"base_url": "http://127.0.0.1:1/v1", "api_key": "none"}}
    locked = start_gateway({"auth": {"list": ["sk-right"]}, "providers": providers, "models": models})
    response = fetch(locked.address, "GET", "/", headers={"Host": "gateway.example:1"})
    assert b"secret-project" not in response.body
    page = Page(response.body.decode("utf-8"))
    check_harmless(page)
    curl, python, _ = page.blocks
    assert curl.startswith("curl -N http://gateway.example:1/v1/chat/completions")
    assert '-H "Authorization: Bearer $TIDEGATE_API_KEY"' in curl
    assert 'os.environ["TIDEGATE_API_KEY"]' in python


def test_a_host_that_is_none_breaks_no_page(start_gateway: StartGateway) -> None:
    """Anybody can reach the pages of a gateway with keys, with any Host."""
    locked = start_gateway({"auth": {"list": ["sk-right"]}})
    for host in ("[", "x;touch y", '"><script>'):
        with RawConnection(locked.address) as connection:
            connection.send(request_bytes("GET", "/", headers={"Host": host}))
            response = connection.read_response("GET")
        assert response.status == 200
        assert b"<script>" not in response.body
        assert f"http://127.0.0.1:{locked.address[1]}".encode() in response.body
    eventually(lambda: "Traceback" not in locked.output(), "no traceback")
