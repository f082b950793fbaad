"""Asks several models the same, at once, and shows their answers one below the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tidegate.agents import AgentError, AgentRequest, Context, agent

_MOST_MODELS = 8


@agent("compare", description="Asks several models the same and shows their answers together.")
async def compare(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Ask the models of the option ``models`` what was asked here, the whole conversation included."""
    models = names(request.option("models"))
    asked = [context.ask(model, request.messages) for model in models]
    number = 0
    async for text in context.ahead(asked, at_once=len(asked)):
        context.status(f"{models[number]} ({number + 1} of {len(models)})", step=number + 1, of=len(models))
        yield f"{'' if number == 0 else chr(10) * 2}## {models[number]}\n\n"
        number += 1
        async for piece in text:
            yield piece
    yield "\n\n| model | input tokens | output tokens |\n|---|---|---|\n"
    for model, each in zip(models, asked, strict=True):
        if each.usage is not None:
            yield f"| {model} | {each.usage.input_tokens} | {each.usage.output_tokens} |\n"


def names(models: object) -> list[str]:
    """The names of two or more models. Raises AgentError with what to write instead."""
    listed = [str(each) for each in models] if isinstance(models, list) else []
    if not 2 <= len(listed) <= _MOST_MODELS:
        raise AgentError(
            f'name the models to compare, from 2 to {_MOST_MODELS} of them: "models": ["one", "another"]',
            status=400,
            code="no_models",
        )
    return listed
