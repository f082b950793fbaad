"""Probabilities of tokens: the legacy form has a list for each fact, Chat's an object for each token."""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]


def from_legacy(logprobs: Any) -> Any:
    """Chat's form. What is in it already, as llama.cpp sends, stays as it is."""
    if not isinstance(logprobs, dict) or not isinstance(logprobs.get("tokens"), list):
        return logprobs or None
    tokens = logprobs["tokens"]
    own, others, offsets = (
        [*(logprobs.get(name) or ()), *[None] * len(tokens)]
        for name in ("token_logprobs", "top_logprobs", "text_offset")
    )
    return {
        "content": [
            {
                "token": token,
                "logprob": own[at],
                "bytes": list(token.encode("utf-8", "surrogatepass")),
                "top_logprobs": _others(others[at]),
                **({} if offsets[at] is None else {"text_offset": offsets[at]}),
            }
            for at, token in enumerate(tokens)
        ]
    }


def to_legacy(logprobs: Any, offset: int) -> Fields | None:
    """The legacy form; ``offset`` is where the first token stands in the text, if it does not say."""
    if not isinstance(logprobs, dict):
        return None
    entries = logprobs.get("content") or logprobs.get("refusal") or []
    written: Fields = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for entry in entries:
        token = entry.get("token") or ""
        others = entry.get("top_logprobs") or []
        written["tokens"].append(token)
        written["token_logprobs"].append(entry.get("logprob"))
        written["top_logprobs"].append({each.get("token"): each.get("logprob") for each in others} or None)
        written["text_offset"].append(entry.get("text_offset", offset))
        offset += len(token)
    return written


def _others(others: Any) -> list[Fields]:
    if not isinstance(others, dict):
        return []
    return [
        {"token": token, "logprob": value, "bytes": list(token.encode("utf-8", "surrogatepass"))}
        for token, value in others.items()
    ]
