"""Two models argue about a motion, turn by turn; each reads what the other has said."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tidegate.agents import AgentError, AgentRequest, Context, agent

_SIDES = ("For", "Against")
_MOST_ROUNDS = 10


@agent("debate", description="Lets two models argue for and against a motion.")
async def debate(request: AgentRequest, context: Context) -> AsyncIterator[str]:
    """Debate what the user said last.

    Options: ``models``, one for each side, else the same for both; ``rounds``, 2 where nothing is said.
    """
    motion = request.text.strip()
    if not motion:
        raise AgentError("say what is to be debated", status=400, code="no_motion")
    models, rounds = _models(request), _rounds(request)
    yield f"# {motion}\n"
    transcript: list[str] = []
    for turn in range(2 * rounds):
        side, model = _SIDES[turn % 2], models[turn % 2]
        number = turn // 2 + 1
        context.status(f"Round {number} of {rounds}: {side.lower()}", step=turn + 1, of=2 * rounds)
        yield f"\n\n## {side}, round {number}\n\n"
        said = context.ask(model, _prompt(motion, side, transcript))
        async for piece in said:
            yield piece
        transcript.append(f"{side}: {said.text}")
    yield "\n"


def _prompt(motion: str, side: str, transcript: list[str]) -> str:
    so_far = "\n\n".join(transcript) or "Nothing has been said yet."
    return (
        f"You take part in a debate and speak {side.lower()} the motion: {motion}\n\n"
        f"The debate so far:\n\n{so_far}\n\n"
        "Give your next contribution: answer what was said against you, add one new argument, and stay below "
        "200 words. Begin with the argument itself, in the language of the motion."
    )


def _models(request: AgentRequest) -> list[str | None]:
    models = request.option("models")
    if models is None:
        return [None, None]
    if not isinstance(models, list) or len(models) != len(_SIDES):
        raise AgentError('"models" names one model for each side, two in all', status=400, code="two_models")
    return [str(each) for each in models]


def _rounds(request: AgentRequest) -> int:
    rounds = request.option("rounds", 2)
    if not isinstance(rounds, int) or not 1 <= rounds <= _MOST_ROUNDS:
        raise AgentError(f'"rounds" is a number from 1 to {_MOST_ROUNDS}', status=400, code="rounds")
    return rounds
