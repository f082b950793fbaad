"""A caller is told what the upstream was not: the header that names the fields of a request."""

from __future__ import annotations

from tidegate.server.respond import dropped_header


def test_fields_are_named() -> None:
    assert dropped_header(("seed", "top_k")) == b"tidegate-dropped: seed, top_k\r\n"


def test_names_of_any_kind_are_no_way_into_the_response() -> None:
    assert dropped_header(("a\r\nset-cookie: x", "世界")) == b"tidegate-dropped: a??set-cookie: x, ??\r\n"


def test_many_names_are_cut() -> None:
    assert len(dropped_header(tuple("x" * 99 for _ in range(99)))) < 1100
