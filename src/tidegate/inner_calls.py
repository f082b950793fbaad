"""Asks the models behind the gateway for vectors and for an order, on behalf of workspaces."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tidegate.access import Caller
from tidegate.core.call import Call, Reply
from tidegate.core.clock import Ids
from tidegate.core.usage import Usage
from tidegate.dialects.translation.counts import usage_of
from tidegate.errors import Broken
from tidegate.generation import Gateway

_MOST: Final = 64 * 1024 * 1024
"""Bytes of an answer: a thousand vectors take some 20 MiB."""

_PREFIXES: Final[Mapping[str, tuple[str, str]]] = {
    "e5": ("query: ", "passage: "),
    "nomic-embed": ("search_query: ", "search_document: "),
}
"""What some models must be told of a text, by a part of their names: a question's prefix, and a passage's.

https://huggingface.co/intfloat/multilingual-e5-small and https://huggingface.co/nomic-ai/nomic-embed-text-v1
"""


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Vectors(msgspec.Struct):
    data: list[_Vector]
    usage: Any = None


class _Rank(msgspec.Struct):
    index: int
    relevance_score: float


class _Ranks(msgspec.Struct):
    results: list[_Rank]
    usage: Any = None


class InnerCalls:
    """Calls that nobody sent. They are counted with the owner of the workspace that they are for.

    ``ids`` names them in the ledger.
    """

    def __init__(self, gateway: Gateway, ids: Ids) -> None:
        self._gateway = gateway
        self._ids = ids

    def embedder(self, named: str | None) -> str | None:
        """The public name of the model that makes vectors: the one that is named, else the first there is."""
        if named is not None:
            return named
        routes = self._gateway.routes
        return next((route.model for route in routes if route.facts.get("type") == "embedding"), None)

    async def embed(
        self, owner: str, model: str, texts: Sequence[str], *, query: bool = False
    ) -> list[list[float]]:
        """A vector for each text; ``query`` tells that they are questions. Raises TidegateError."""
        prefix = next((each[not query] for part, each in _PREFIXES.items() if part in model.lower()), "")
        body = {"model": model, "input": [prefix + text for text in texts], "encoding_format": "float"}
        answer = _Answer(_Vectors)
        await self._call(owner, model, "/embeddings", body, answer)
        found: list[_Vector] = sorted(answer.value.data, key=lambda each: each.index or 0)
        if len(found) != len(texts):
            raise Broken(f"{model} gave {len(found)} vectors for {len(texts)} texts", retryable=False)
        return [each.embedding for each in found]

    async def rerank(self, owner: str, model: str, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the query, the more the better. Raises TidegateError."""
        body = {"model": model, "query": query, "documents": list(texts), "top_n": len(texts)}
        answer = _Answer(_Ranks)
        await self._call(owner, model, "/rerank", body, answer)
        scores = [float("-inf")] * len(texts)
        for each in answer.value.results:
            if 0 <= each.index < len(texts):
                scores[each.index] = each.relevance_score
        return scores

    async def _call(
        self, owner: str, model: str, path: str, body: Mapping[str, Any], answer: _Answer
    ) -> None:
        def write(name: str) -> bytes:
            return msgspec.json.encode({**body, "model": name})

        call = Call(path, "application/json", write, name=self._ids())
        await self._gateway.call(Caller(owner, owner), model, call, answer)


class _Answer:
    """Holds a whole answer of one form. Implements :class:`tidegate.routing.calls.Delivery`."""

    begun = False

    def __init__(self, form: type[Any]) -> None:
        self._form = form
        self.value: Any = None
        self.usage: Usage | None = None

    async def take(self, reply: Reply) -> None:
        """See :class:`tidegate.routing.calls.Delivery`."""
        parts: list[bytes] = []
        size = 0
        while data := await reply.read():
            size += len(data)
            if size > _MOST:
                raise Broken(f"the upstream's answer is longer than {_MOST} bytes", retryable=False)
            parts.append(data)
        body = b"".join(parts)
        try:
            # A large one must not keep streams waiting.
            self.value = await asyncio.to_thread(msgspec.json.decode, body, type=self._form)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Broken(f"the upstream's answer cannot be read: {error}") from None
        self.usage = usage_of(self.value.usage)
