"""Probabilities of tokens: Gemini's ``logprobsResult`` and OpenAI Chat's ``logprobs``.

https://ai.google.dev/api/generate-content#LogprobsResult
"""

from __future__ import annotations

from typing import Any


def read_logprobs(result: Any) -> dict[str, Any] | None:
    """In Chat's form; None when nothing can be read."""
    if not isinstance(result, dict):
        return None
    chosen = result.get("chosenCandidates") or []
    top = result.get("topCandidates") or []
    return {
        "content": [
            {
                **_token(each),
                "top_logprobs": [
                    _token(other) for other in (top[at].get("candidates") or () if at < len(top) else ())
                ],
            }
            for at, each in enumerate(chosen)
        ]
    }


def write_logprobs(logprobs: Any) -> dict[str, Any] | None:
    """From Chat's form; None when it holds no tokens."""
    content = _tokens(logprobs.get("content")) if isinstance(logprobs, dict) else None
    if not content:
        return None
    return {
        "chosenCandidates": [_candidate(each) for each in content],
        "topCandidates": [
            {"candidates": [_candidate(other) for other in _tokens(each.get("top_logprobs"))]}
            for each in content
        ],
    }


def _tokens(told: Any) -> list[dict[str, Any]]:
    """As they are passed on from an upstream, which may tell anything."""
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []


def _token(candidate: dict[str, Any]) -> dict[str, Any]:
    token = str(candidate.get("token", ""))
    return {
        "token": token,
        "logprob": candidate.get("logProbability", 0.0),
        "bytes": list(token.encode("utf-8", "surrogatepass")),
    }


def _candidate(token: dict[str, Any]) -> dict[str, Any]:
    return {"token": token.get("token", ""), "logProbability": token.get("logprob", 0.0)}
