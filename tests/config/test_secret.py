"""Credentials do not show, wherever they are formatted."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from tidegate.config import Auth, Config, Provider, Secret

TEXT = "sk-live-0123456789"


def test_no_form_of_formatting_shows_it() -> None:
    secret = Secret(TEXT)
    forms = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>30}",
        "{} {!r}".format(*[secret, secret]),
        f"{[secret]}",
    ]
    assert all(TEXT not in form and "***" in form for form in forms)
    assert secret.reveal() == TEXT


def test_it_is_not_serialised_copied_or_joined() -> None:
    secret = Secret(TEXT)
    for leak in (pickle.dumps, copy.deepcopy, msgspec.json.encode, lambda s: "key " + s):
        with pytest.raises(TypeError) as raised:
            leak(secret)
        assert TEXT not in str(raised.value)


def test_equality_is_by_text() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "x")
    assert Secret(TEXT) != TEXT
    assert Secret("\udcff") == Secret("\udcff")
    assert len({Secret(TEXT), Secret(TEXT)}) == 1


def test_a_whole_config_shows_no_credential() -> None:
    provider = Provider(
        name="p",
        base_url="http://h/v1",
        credential=Secret(TEXT),
        headers={"x-key": Secret(TEXT)},
        query={"key": Secret(TEXT)},
    )
    config = Config(auth=Auth(keys="required", list=(Secret(TEXT),)), providers={"p": provider})
    assert TEXT not in repr(config)
    assert TEXT not in str(config)


@pytest.mark.parametrize(
    ("auth", "headers", "query"),
    [
        ("bearer", {"authorization": f"Bearer {TEXT}"}, {}),
        ("header:api-key", {"api-key": TEXT}, {}),
        ("query:key", {}, {"key": TEXT}),
    ],
)
def test_a_request_is_signed_in_the_form_of_the_provider(
    auth: str, headers: dict[str, str], query: dict[str, str]
) -> None:
    provider = Provider(
        name="p",
        base_url="http://h/v1",
        credential=Secret(TEXT),
        auth=auth,
        headers={"x-extra": Secret("1")},
        query={"api-version": Secret("2")},
    )
    assert provider.signed_headers() == {"x-extra": "1", **headers}
    assert provider.signed_query() == {"api-version": "2", **query}


def test_a_request_without_a_credential_is_not_signed() -> None:
    provider = Provider(name="p", base_url="http://h/v1")
    assert provider.signed_headers() == {}
    assert provider.signed_query() == {}
