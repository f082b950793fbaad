"""From a caller's request to the body that an upstream gets, whatever dialects the two speak.

Equal dialects pass the request through. Otherwise it is read into a prompt and written anew; what the
upstream's dialect has no form for is refused or dropped, as that dialect's table says, and named.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from tidegate.core.request import Prompt, Request
from tidegate.dialects.api import Dialect, Particular
from tidegate.dialects.translation.features import NOTHING, PLACES, features, is_shown
from tidegate.dialects.translation.options import without_options
from tidegate.dialects.translation.shapes import WRONG_SHAPE, misfit
from tidegate.errors import InvalidRequest, Unsupported

_LACKS_BY_QUIRK: Final = {"no_top_k": ("top_k", "min_p"), "no_reasoning_effort": ("reasoning",)}
"""What single vendors have no form for although their dialect has one (:data:`tidegate.config.QUIRKS`)."""


class Translated(NamedTuple):
    """A request as an upstream gets it, and the fields that it was not told."""

    body: bytes
    dropped: tuple[str, ...]


def translate(
    request: Request, caller: Dialect, upstream: Dialect, model: str, quirks: frozenset[str]
) -> Translated:
    """Write ``request``, which is in the dialect ``caller``, for an upstream.

    Raises Unsupported for what the upstream's dialect cannot say, InvalidRequest for what makes no sense.
    """
    if caller.name == upstream.name:
        request, lost = _reconciled(request, upstream, model)
        try:
            body = upstream.write_request(without_options(request), model, quirks)
        except (msgspec.DecodeError, RecursionError) as error:  # in what was not looked at before
            raise InvalidRequest(f"the body cannot be read: {error}") from None
        return Translated(body, lost)
    prompt = caller.read_prompt(without_options(request))
    if request.reasoning is not None:
        prompt = msgspec.structs.replace(prompt, reasoning=request.reasoning)
    try:
        return _written(prompt, caller, upstream, model, quirks)
    except WRONG_SHAPE:
        wrong = misfit(prompt)
        if wrong is None:  # a defect of ours
            raise
        raise wrong from None


def _reconciled(request: Request, dialect: Dialect, model: str) -> tuple[Request, tuple[str, ...]]:
    """A request of the upstream's own dialect, and what it was not told.

    All is passed on, but for what does not go together with what was asked beside the body, in the model's
    name: a limit of the answer too small to think in, say.
    """
    if request.reasoning is None:
        return request, ()
    lost = ["reasoning"] if "reasoning" in dialect.lacks else []
    if isinstance(dialect, Particular):
        asked = msgspec.structs.replace(
            dialect.read_prompt(without_options(request)), reasoning=request.reasoning
        )
        conflicts = dialect.conflicts(asked, model)
        lost += [name for name in conflicts if getattr(asked, name) != getattr(NOTHING, name)]
    fields = {name: value for name, value in request.fields.items() if name not in lost}
    reasoning = None if "reasoning" in lost else request.reasoning
    told = tuple(dialect.fields.get(name, name) for name in lost)
    return msgspec.structs.replace(request, fields=fields, reasoning=reasoning), told


def _written(
    prompt: Prompt, caller: Dialect, upstream: Dialect, model: str, quirks: frozenset[str]
) -> Translated:
    """The prompt of a caller in the upstream's dialect, without what that one lacks."""
    lacking = [name for quirk in quirks for name in _LACKS_BY_QUIRK.get(quirk, ())]
    if isinstance(upstream, Particular):
        lacking += upstream.conflicts(prompt, model)
    dropped: dict[str, None] = {}
    for feature in features(prompt, upstream.name):
        lack = "drop" if feature in lacking else upstream.lacks.get(feature)
        field = caller.fields.get(feature, feature)
        if lack == "refuse":
            raise Unsupported(
                f"{field!r} cannot be passed on: the model is behind an upstream that speaks "
                f"{upstream.name}, which has no form for it; leave it out, or ask another model",
                code="unsupported_parameter",
                param=field,
                retryable=False,
            )
        if lack == "drop":
            dropped[field] = None
    dropped.update(dict.fromkeys(prompt.extra or ()))
    left = {name: getattr(NOTHING, name) for name in lacking}
    prompt = msgspec.structs.replace(prompt, **left) if left else prompt
    prompt = _without_media(prompt, upstream)
    return Translated(upstream.write_prompt(prompt, model, quirks), tuple(dropped))


def _without_media(prompt: Prompt, upstream: Dialect) -> Prompt:
    """The prompt without images where the upstream's dialect has no place for them."""
    roles = {role for role, feature in PLACES.items() if upstream.lacks.get(feature) == "drop"}
    if not any(each.role in roles and any(map(is_shown, each.parts)) for each in prompt.messages):
        return prompt
    messages = tuple(
        msgspec.structs.replace(each, parts=tuple(part for part in each.parts if not is_shown(part)))
        if each.role in roles
        else each
        for each in prompt.messages
    )
    return msgspec.structs.replace(prompt, messages=messages)
