"""Reads the frames of a stream as they are, in any dialect, over as many connections as it takes."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.cli.connection import Server, failures_told, refusal
from tidegate.client.blocking import Wire
from tidegate.client.driving import pieces, run
from tidegate.client.patience import Patience
from tidegate.client.pursuit import Denied, GaveUp, Lost, Rest
from tidegate.client.reading import pursuit_of
from tidegate.errors import Broken


class FrameReader:
    """The frames of a stream behind a place, without their ids. Iterating raises SourceError."""

    def __init__(
        self, server: Server, stream_id: str, after: str | None, dialect: str, patience: Patience
    ) -> None:
        self.stream_id = stream_id
        self.cursor = after
        """The place behind the last frame that was read."""
        self._server = server
        self._wire = Wire(server.url, patience.silence)
        self._pursuit = pursuit_of(server, patience, None, stream_id, after, dialect)

    def __iter__(self) -> Iterator[str]:
        pursuit, wire = self._pursuit, self._wire
        try:
            head = run(pursuit.opening(), wire.do)
            if pursuit.splice.ended:
                return
            if not head.streams:
                raise refusal(self._server, head.status, wire.do(Rest()))
            for several in pieces(pursuit.frames(), wire.do):
                for piece in several:
                    self.cursor = piece.cursor
                    yield piece.data.decode("utf-8", "replace")
        except Lost as lost:
            with failures_told(self._server):
                raise lost.cause or ConnectionResetError from None
        except GaveUp as error:
            raise Broken(
                f"the connection to the gateway broke, and was not found again within {error.seconds:.0f} s"
            ) from None
        except Denied as denied:
            raise refusal(self._server, denied.head.status, denied.body) from None
        finally:
            wire.close()
