"""Keys: which one a request presents, and whose it is."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.access import OPEN, Caller, KeyRing, presented_key
from tidegate.config import Auth, Secret


def ring(*keys: str) -> KeyRing:
    return KeyRing(Auth(keys="required", list=tuple(Secret(key) for key in keys)))


def test_a_known_key_is_its_caller_whatever_form_it_comes_in() -> None:
    keys = ring("sk-one", "sk-two")
    one = keys.identify("sk-one")
    assert one is not None
    assert keys.identify(b"sk-one") == one
    assert keys.identify("sk-two") not in {one, None}
    assert len(keys) == 2


@pytest.mark.parametrize(
    "presented", [None, "", b"", "sk-on", "sk-one ", "SK-ONE", "sk-onee", b"\xff\xfe", "\udcff"]
)
def test_any_other_key_is_nobody(presented: bytes | str | None) -> None:
    assert ring("sk-one").identify(presented) is None


@given(st.text() | st.binary())
def test_no_guess_is_let_in(presented: str | bytes) -> None:
    assert ring("a key that is guessed by no one").identify(presented) is None


def test_required_without_keys_lets_nobody_in() -> None:
    keys = ring()
    assert keys.identify("anything") is None
    assert not keys.open


@pytest.mark.parametrize("presented", [None, "", "sk-no-key-required", b"\xff"])
def test_everybody_is_one_caller_while_auth_is_open(presented: bytes | str | None) -> None:
    keys = KeyRing(Auth())
    assert keys.open
    assert keys.identify(presented) == OPEN == Caller("open", "anyone")


def test_a_caller_is_the_same_after_a_restart() -> None:
    program = (
        "from tidegate.access import KeyRing; from tidegate.config import Auth, Secret;"
        "print(KeyRing(Auth(keys='required', list=(Secret('x'), Secret('sk-one')))).identify('sk-one').id)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    caller = ring("sk-one", "other").identify("sk-one")
    assert caller is not None
    assert run.stdout.strip() == caller.id
    assert caller.id.startswith("key-")
    assert len(caller.id) == 16


def test_the_ring_keeps_no_key_and_an_id_gives_none_away() -> None:
    keys = ring("sk-not-kept-anywhere")
    caller = keys.identify("sk-not-kept-anywhere")
    held: list[object] = [keys]
    seen: set[int] = set()
    while held:  # everything that the ring refers to, types and modules left out
        each = held.pop()
        if id(each) in seen or isinstance(each, type) or type(each).__name__ == "module":
            continue
        seen.add(id(each))
        if isinstance(each, str | bytes):  # others may not bear to be compared with a string
            assert each not in ("sk-not-kept-anywhere", b"sk-not-kept-anywhere")
        held += gc.get_referents(each)
    digests = [digest.hex() for digest in keys._callers]
    assert caller is not None
    assert all(caller.id.removeprefix("key-") not in digest for digest in digests)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"authorization": "Bearer sk-one"}, b"sk-one"),
        ({"authorization": "bearer   sk-one  "}, b"sk-one"),
        ({"authorization": "BEARER\tsk-one"}, b"sk-one"),
        ({"authorization": "sk-one"}, b"sk-one"),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": ""}, None),
        ({"authorization": "Basic dXNlcjpwdw=="}, None),
        ({"authorization": "Bearer two words"}, None),
        ({"x-api-key": "sk-one"}, b"sk-one"),
        ({"x-api-key": " sk-one "}, b"sk-one"),
        ({"api-key": "sk-one"}, b"sk-one"),
        ({"api-key": "third", "x-api-key": "second", "authorization": "Bearer first"}, b"first"),
        ({"api-key": "third", "x-api-key": "second", "authorization": "Bearer "}, b"second"),
        ({"api-key": "third", "x-api-key": "", "authorization": "Basic x"}, b"third"),
        ({"cookie": "sk-one", "x-authorization": "sk-one"}, None),
    ],
)
def test_a_key_is_found_in_every_usual_header(headers: dict[str, str], key: bytes | None) -> None:
    raw = [(b"host", b"localhost"), *((name.encode(), value.encode()) for name, value in headers.items())]
    assert presented_key(raw) == key


@given(st.lists(st.tuples(st.sampled_from([b"authorization", b"x-api-key", b"api-key"]), st.binary())))
def test_no_header_makes_it_fail(headers: list[tuple[bytes, bytes]]) -> None:
    key = presented_key(headers)
    assert key is None or key == key.strip() != b""
