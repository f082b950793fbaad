"""What a stream's header tells."""

from __future__ import annotations

from hashlib import sha256

from tidegate.core.request import Header


def test_a_header_has_the_hash_of_its_body() -> None:
    body = b'{"model":"m"}'
    header = Header(id="0" * 32, caller="c", dialect="openai-chat", model="m", created=1, body=body)
    assert header.body_hash == sha256(body).hexdigest()
