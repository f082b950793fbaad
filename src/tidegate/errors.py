"""The exception tree. The type says who is to blame, the fields say what a client is told.

::

    TidegateError
    ├── ConfigError             the operator's settings; the program does not start
    ├── RequestError            the caller's request          (4xx)
    │   ├── InvalidRequest      400, a field is wrong
    │   ├── Unauthenticated     401, no valid key
    │   ├── Forbidden           403, not from here
    │   ├── NotFound            404, no such path, model or stream
    │   ├── MethodNotAllowed    405
    │   ├── RequestTimeout      408, the request did not arrive in time
    │   ├── Conflict            409, the same key stands for another request
    │   ├── Gone                410, it was here and is not kept any more
    │   ├── BodyTooLarge        413
    │   ├── Unreadable          422, a document that cannot be read, or a link that leads to none
    │   ├── UpgradeRequired     426, another protocol was asked for, which is not spoken here
    │   └── HeadersTooLarge     431
    ├── Overloaded              503, this gateway is full or shutting down
    ├── StoreError              503, the database cannot be read or written
    ├── SourceError             whoever should have answered  (mostly 502)
    │   ├── Unreachable         502, no connection
    │   ├── Rejected            the upstream answered with an error
    │   │   └── TooLong         400, the request is longer than this model's context
    │   ├── Unsupported         400, this upstream has no form for what was asked
    │   ├── Broken              502, the answer stopped before its end, or made no sense
    │   ├── TimedOut            504, nothing came in time
    │   └── Interrupted         502, the gateway itself was stopped in mid-answer
    └── LogError                the stream log
        ├── Fenced              another producer owns the stream by now
        └── Full                the stream outgrew its bounds
"""

from __future__ import annotations


class TidegateError(Exception):
    """The root of everything that Tidegate raises on purpose.

    ``status`` is an HTTP status, ``type`` and ``code`` are the words of OpenAI's error object
    (https://platform.openai.com/docs/guides/error-codes), ``param`` names the field at fault,
    ``retry_after`` is in seconds.
    """

    status = 500
    type = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the word on the wire
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        message = _sendable(message)
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        if type is not None:
            self.type = _sendable(type)
        self.code = None if code is None else _sendable(code)
        self.param = param
        self.retry_after = retry_after


def _sendable(text: str) -> str:
    """The text without halves of characters, which an upstream's words may hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class ConfigError(TidegateError):
    """A setting is wrong. The message is one or more lines, each a whole sentence."""


class RequestError(TidegateError):
    """The caller's request is at fault; sending it again unchanged will fail again."""

    status = 400
    type = "invalid_request_error"


class InvalidRequest(RequestError):
    """A field of the request is missing, of the wrong type or out of range."""


class Unauthenticated(RequestError):
    """No key, or one that is not known here."""

    status = 401
    type = "authentication_error"


class Forbidden(RequestError):
    """The caller is known or harmless, yet may not do this from where they are."""

    status = 403
    type = "permission_error"


class NotFound(RequestError):
    """No such path, model or stream."""

    status = 404
    type = "not_found_error"


class MethodNotAllowed(RequestError):
    """The path exists, for another method."""

    status = 405


class RequestTimeout(RequestError):
    """The request itself did not arrive in time."""

    status = 408
    type = "timeout_error"


class Conflict(RequestError):
    """What was asked contradicts what was asked before under the same name."""

    status = 409
    type = "conflict_error"


class Gone(RequestError):
    """It was here, and is not kept any more: nothing will bring it back."""

    status = 410
    type = "gone_error"


class BodyTooLarge(RequestError):
    """The request body is over the limit."""

    status = 413


class Unreadable(RequestError):
    """A document that nothing can be read from, or a link that leads to none.

    ``code`` is one of empty, corrupt, encrypted, no_text, too_large, too_slow, unsupported, not_installed and
    unavailable.
    """

    status = 422


class UpgradeRequired(RequestError):
    """The client wants to speak another protocol than HTTP."""

    status = 426


class HeadersTooLarge(RequestError):
    """The request head is over the limit."""

    status = 431


class Overloaded(TidegateError):
    """This gateway has no room, or is shutting down; trying later will help."""

    status = 503
    type = "overloaded_error"


class StoreError(TidegateError):
    """The database cannot be read or written; the message says what the operator can do."""

    status = 503
    type = "store_error"


class SourceError(TidegateError):
    """Whoever should have answered did not. ``retryable``: another try may succeed."""

    status = 502
    type = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = True,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the word on the wire
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, type=type, code=code, param=param, retry_after=retry_after)
        self.retryable = retryable


class Unreachable(SourceError):
    """No connection to the upstream."""


class Rejected(SourceError):
    """The upstream answered with an error of its own."""


class TooLong(Rejected):
    """The request is longer than what this model can look at; a model with a longer context may answer it."""

    status = 400


class Unsupported(SourceError):
    """What was asked has no form in the upstream's dialect; another upstream may have one."""

    status = 400
    type = "invalid_request_error"


class Broken(SourceError):
    """The answer stopped before its end, or cannot be read."""


class TimedOut(SourceError):
    """Nothing came in time: ``code`` is connect, first_token, idle, slow or total."""

    status = 504
    type = "timeout_error"


class Interrupted(SourceError):
    """This gateway was stopped before the answer ended, and nobody can go on with it."""

    type = "interrupted"


class LogError(TidegateError):
    """The stream log refused."""


class Fenced(LogError):
    """A newer epoch writes this stream."""


class Full(LogError):
    """The stream outgrew what its log may hold, or the disk is full."""

    status = 507
