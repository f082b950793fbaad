"""Has texts embedded, also those that are longer than the embedder takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from tidegate.errors import Rejected, TidegateError

_REFUSALS: Final = frozenset({400, 413, 422})
"""What servers of embedders answer to texts that are too long for them."""
_SHORTEST: Final = 100
"""A text of so few characters is refused for another reason."""
_KEPT: Final = 0.6
"""Of a text that is too long."""


class Embedder(Protocol):
    """Makes vectors of texts. Raises TidegateError."""

    async def embed(
        self, owner: str, model: str, texts: Sequence[str], *, query: bool = False
    ) -> list[list[float]]: ...


async def embed_whole(
    models: Embedder, owner: str, model: str, texts: Sequence[str], *, query: bool = False
) -> list[list[float]]:
    """A vector for each text, which is that of its beginning where the model does not take all of it.

    One text that is too long keeps no other from having its vector. Raises TidegateError.
    """
    try:
        return await models.embed(owner, model, texts, query=query)
    except TidegateError as error:
        if not _may_be_too_long(error, texts):
            raise
    if len(texts) > 1:
        half = len(texts) // 2
        return [
            *await embed_whole(models, owner, model, texts[:half], query=query),
            *await embed_whole(models, owner, model, texts[half:], query=query),
        ]
    (text,) = texts
    return await embed_whole(models, owner, model, [text[: int(len(text) * _KEPT)]], query=query)


def _may_be_too_long(error: TidegateError, texts: Sequence[str]) -> bool:
    refused = isinstance(error, Rejected) and error.status in _REFUSALS
    return refused and max(map(len, texts)) > _SHORTEST
