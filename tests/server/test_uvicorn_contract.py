"""uvicorn still has what server/protocol.py and server/serve.py rely on, none of which it promises.

A failure here says which part of an upgrade needs a look before any other test is worth reading.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

METHODS = {
    "connection_made": "takes the transport, makes the flow control",
    "connection_lost": "marks the cycle as disconnected and sets its message_event",
    "data_received": "is replaced by one that refuses in the caller's dialect",
    "send_400_response": "is replaced likewise",
    "on_message_begin": "makes an ASGI scope and the list of headers in it, when one is needed",
    "on_url": "adds to url",
    "on_header": "is replaced; adds a lower-case name to headers, sets expect_100_continue",
    "on_headers_complete": "starts or queues an ASGI cycle",
    "on_body": "adds to the cycle's body",
    "on_message_complete": "clears the cycle's more_body",
    "on_response_complete": "starts what is queued, or the keep-alive timer",
    "pause_writing": "is passed on to an exchange",
    "resume_writing": "is passed on to an exchange",
    "shutdown": "closes an idle connection, or clears the cycle's keep_alive",
    "_start_asgi_task": "is called for what was queued",
    "_unset_keepalive_if_required": "stops the keep-alive timer",
}

ATTRIBUTES = {
    "parser": "gives method, version and keep-alive",
    "headers": "are read by an exchange",
    "url": "names the path",
    "cycle": "is where an exchange takes its place",
    "pipeline": "holds (cycle, app) pairs that wait",
    "flow": "pauses reading while something waits",
    "transport": "is written to",
    "expect_100_continue": "is answered when the body is wanted",
    "app": "goes into the pipeline beside an exchange",
    "loop": "makes timers",
    "connections": "is the set that a shutdown closes",
}

CYCLE = ("response_complete", "disconnected", "keep_alive", "message_event", "more_body", "body")


async def application(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nothing is served here")


@pytest.fixture
def protocol() -> HttpToolsProtocol:
    config = Config(application, log_config=None, access_log=False, ws="none")
    config.load()
    loop: Any = object()
    return HttpToolsProtocol(config=config, server_state=ServerState(), app_state={}, _loop=loop)


@pytest.mark.parametrize("name", METHODS)
def test_the_protocol_has_the_method(name: str) -> None:
    assert callable(getattr(HttpToolsProtocol, name, None)), f"{name}: {METHODS[name]}"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_the_protocol_has_the_attribute(protocol: HttpToolsProtocol, name: str) -> None:
    made_by_a_request = name == "url"
    assert made_by_a_request or hasattr(protocol, name), f"{name}: {ATTRIBUTES[name]}"


@pytest.mark.parametrize("name", CYCLE)
def test_a_cycle_is_read_and_set_by_these_names(name: str) -> None:
    source = inspect.getsource(RequestResponseCycle.__init__)
    assert f"self.{name}" in source, f"an Exchange stands in for a cycle and has {name} for that reason"


def test_what_waits_is_popped_from_the_other_end() -> None:
    """protocol.py adds with appendleft, as uvicorn does."""
    assert "pipeline.appendleft" in inspect.getsource(HttpToolsProtocol.on_headers_complete)
    assert "pipeline.pop()" in inspect.getsource(HttpToolsProtocol.on_response_complete)


@pytest.mark.parametrize(
    ("method", "touched"),
    [
        (HttpToolsProtocol.connection_lost, {"response_complete", "disconnected", "message_event"}),
        (HttpToolsProtocol.shutdown, {"response_complete", "keep_alive"}),
    ],
)
def test_nothing_else_of_a_cycle_is_touched(method: Callable[..., Any], touched: set[str]) -> None:
    source = inspect.getsource(method)
    used = {
        part.split("(")[0].split(".")[0].split()[0].rstrip(":") for part in source.split("self.cycle.")[1:]
    }
    assert {name.strip() for name in used} <= touched


def test_the_servers_state_keeps_connections() -> None:
    assert ServerState().connections == set()


def test_its_flow_control_says_whether_a_client_has_room() -> None:
    assert "self.write_paused" in inspect.getsource(FlowControl.__init__)
