"""Other gateways that share the data folder: while one takes another's place, say.

Each process that logs on disk has a slot there, and in it a socket on which it can be asked what it has. What
one that has died had is taken over by whoever is asked for it first, or looks around next.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from tidegate.errors import Overloaded
from tidegate.server.handover import HAS, Adopt, Answers, Peer, Peers
from tidegate.streams.segments import SOCKET, Slot

logger = logging.getLogger("tidegate")


class Neighbours:
    """The owners of the other slots below a folder. Made inside the event loop.

    ``take_over`` goes on with the streams of those that have died.
    """

    def __init__(self, folder: Path, own: Slot, take_over: Callable[[], Awaitable[None]]) -> None:
        self._folder = folder
        self._own = own
        self._take_over = take_over
        self._peers = Peers(own.socket, self._others)

    def listen(self, answers: Answers, adopt: Adopt) -> None:
        """Be there for the others, where the system has a place for such a socket."""
        try:
            self._peers.listen(answers, adopt)
        except OSError as error:  # its path has at most some hundred characters
            logger.info("gateways that share this data folder cannot ask this one: %s", error)

    def close(self) -> None:
        """Be there no more."""
        self._peers.close()

    async def find(self, stream: str) -> Peer | None:
        """The owner of a stream that is not here. Raises Overloaded when one that may be does not answer.

        Afterwards it may be here, where its owner has died.
        """
        known: set[Path] = set()
        while True:
            silent: set[Path] = set()
            for peer, answer in await self._peers.ask_each(HAS, stream):
                if answer is True:
                    return peer
                if isinstance(answer, BaseException):
                    silent.add(peer.path.parent)
            if silent <= known:  # what nobody holds is no gateway's
                return None
            await self._take_over()
            # Somebody who begins or ends, or is just taking over what is there.
            if any(map(Slot.is_held, silent)):
                raise Overloaded(
                    "the gateway that may have this stream does not answer; try again in a moment",
                    retry_after=1,
                )
            known |= silent  # they may have left it to one that had been asked by then

    async def ask(self, question: str, argument: Any = None) -> list[Any]:
        """What the others answer, without those that do not."""
        return await self._peers.ask(question, argument)

    def _others(self) -> Iterable[Path]:
        return [each / SOCKET for each in self._folder.iterdir() if each != self._own.folder]
