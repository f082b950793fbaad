"""The source for local engines: a child process that speaks OpenAI Chat on a Unix socket."""

from __future__ import annotations

from typing import Final

from tidegate.core.call import Call, Reply
from tidegate.core.clock import Clock
from tidegate.core.request import Request
from tidegate.core.source import Continues, Output
from tidegate.dialects import Continuable, load_dialect
from tidegate.engines import LocalEngine
from tidegate.net import Pool
from tidegate.net.address import Address
from tidegate.sources.server import Upstream, beside
from tidegate.sources.upstream import UpstreamSource

_CONTINUES: Final = "continue_final_message"
"""How llama.cpp is told to go on with an answer (https://github.com/ggml-org/llama.cpp/pull/23012)."""


class EngineSource:
    """Starts its engine on first use, then calls it like any upstream."""

    def __init__(
        self, engine: LocalEngine, pool: Pool, clock: Clock, connect_timeout: float, max_frame: int
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._max_frame = max_frame
        self._dialect = load_dialect("openai-chat")

    def continues(self, request: Request) -> Continues | None:
        """See :class:`tidegate.core.source.Continuing`: a conversation, and raw text."""
        assert isinstance(self._dialect, Continuable)
        return self._dialect.continues(self._engine.settings.name, _CONTINUES)

    async def run(self, request: Request, out: Output) -> None:
        """See :class:`tidegate.core.source.Source`."""
        await (await self._source()).run(request, out)

    async def call(self, call: Call) -> Reply:
        """See :class:`tidegate.core.call.CallSource`."""
        return await (await self._source()).call(call)

    async def _source(self) -> UpstreamSource:
        """The engine as an upstream, once it is ready."""
        address = Address(socket_path=await self._engine.ready())
        name = self._engine.settings.name
        server = Upstream(
            name,
            address,
            self._dialect,
            frozenset(),
            path="/v1",
            query={},
            headers={},
            max_frame=self._max_frame,
            pool=self._pool,
            clock=self._clock,
            beside=beside(self._dialect.name),
            continues=_CONTINUES,
        )
        return UpstreamSource(server, name, self._connect_timeout)
