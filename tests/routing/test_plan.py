"""Which models a request may be answered by, and how one takes over from another."""

from __future__ import annotations

import msgspec
import pytest

from tests.loops import LoopClock, in_virtual_time
from tests.routing.deeds import Deed, Doing, Watching, deployment, fails, route, says, stalls
from tests.streams.parts import S, header
from tidegate.config import Retry, Timeouts
from tidegate.core.event import Start, Text
from tidegate.core.request import Reasoning, Request
from tidegate.errors import Broken, InvalidRequest, NotFound, Rejected, SourceError, TimedOut, Unsupported
from tidegate.routing.attempt import Attempts
from tidegate.routing.plan import Asked, plan
from tidegate.routing.table import Routes
from tidegate.streams.memory import MemoryLog
from tidegate.streams.producer import Producer

ROUTES = Routes(
    [route(deployment(name), model=name) for name in ("alpha", "beta", "gamma")], "alpha", lambda _: None
)


def asking(model: str | None, *fallback_models: str) -> Request:
    return Request("openai-chat", model, {}, fallback_models=fallback_models)


def names(request: Request) -> list[str]:
    return [each.route.model for each in plan(ROUTES, request)]


def test_fallback_models_come_after_the_model_in_their_order() -> None:
    assert names(asking("beta", "gamma", "alpha")) == ["beta", "gamma", "alpha"]


def test_without_a_fallback_they_are_left_alone() -> None:
    assert names(msgspec.structs.replace(asking("beta", "gamma", "nothing"), fallback=False)) == ["beta"]


def test_no_model_is_asked_twice() -> None:
    assert names(asking(None, "alpha", "beta")) == ["alpha", "beta"]


def test_all_unknown_fallback_models_are_named() -> None:
    with pytest.raises(InvalidRequest) as raised:
        plan(ROUTES, asking("alpha", "betta", "beta", "nothing"))
    assert (raised.value.status, raised.value.param) == (400, "fallback_models")
    assert "did you mean 'beta'?" in raised.value.message
    assert "'nothing'" in raised.value.message


def test_an_unknown_model_is_not_made_up_for_by_fallback_models() -> None:
    with pytest.raises(NotFound):
        plan(ROUTES, asking("delta", "beta"))


THOUGHTS = {
    "-minimal": Reasoning(effort="minimal"),
    "-low": Reasoning(effort="low"),
    "-medium": Reasoning(effort="medium"),
    "-high": Reasoning(effort="high"),
    "-thinking": Reasoning(enabled=True),
    "-thinking-4096": Reasoning(enabled=True, budget=4096),
    "-nothinking": Reasoning(effort="none", enabled=False),
}


@pytest.mark.parametrize("suffix", THOUGHTS)
def test_a_name_may_end_in_how_much_to_think(suffix: str) -> None:
    [asked] = plan(ROUTES, asking("beta" + suffix))
    assert (asked.route.model, asked.request.reasoning) == ("beta", THOUGHTS[suffix])


def test_fallback_models_may_think_otherwise() -> None:
    asked = plan(ROUTES, asking("alpha", "alpha-high", "beta-low", "beta"))
    efforts = [each.request.reasoning.effort if each.request.reasoning else None for each in asked]
    assert efforts == [None, "high", "low", None]


def test_a_whole_name_goes_before_its_suffix() -> None:
    routes = Routes(
        [route(deployment(name), model=name) for name in ("mini", "mini-high")],
        None,
        lambda name: route(deployment("p"), model=name) if name.startswith("p/") else None,
    )
    for name in ("mini-high", "p/mini-high"):
        [asked] = plan(routes, asking(name))
        assert (asked.route.model, asked.request.reasoning) == (name, None)


@pytest.mark.parametrize(
    "name", ["delta-high", "-high", "high", "beta-High", "beta-thinking-0", "beta-high-low", "beta-thinking-"]
)
def test_an_unknown_name_is_told_whole(name: str) -> None:
    with pytest.raises(NotFound, match=f"there is no model '{name}' here"):
        plan(ROUTES, asking(name))


class Run:
    """A plan of models with one deployment each."""

    def __init__(self, *deeds: Deed, timeouts: Timeouts | None = None) -> None:
        self.clock = LoopClock()
        self.watching = Watching()
        self.deployments = [
            deployment(f"at-{name}", Doing(deed), self.clock)
            for name, deed in zip("abc", deeds, strict=False)
        ]
        self.plan = tuple(
            Asked(route(each, retry=Retry(attempts=1), timeouts=timeouts, model=each.name[-1]), asking("a"))
            for each in self.deployments
        )
        self.log = MemoryLog(self.clock, lambda *_: None)
        self.log.create(header())
        self.out = Producer(header(), self.log, self.clock)

    async def answer(self) -> str:
        """The text of the answer."""
        await Attempts(self.clock, lambda: 0.0, self.watching).answer(self.plan, self.out)
        return "".join(event.text for event in self.log.read(S, 0, 1000) if isinstance(event, Text))

    @property
    def told_model(self) -> str | None:
        first = self.log.read(S, 0, 1)[0]
        assert isinstance(first, Start)
        return first.model


CURABLE = [
    Broken("cut"),
    Unsupported("no form"),
    Rejected("down", status=503),
    Rejected("no such model", status=404, retryable=False),
    TimedOut("slow", code="first_token"),
]


@pytest.mark.parametrize("error", CURABLE, ids=lambda error: f"{type(error).__name__}-{error.status}")
@in_virtual_time
async def test_what_another_model_may_cure_is_left_to_it(error: SourceError) -> None:
    run = Run(fails(error), says("b"))
    assert await run.answer() == "b"
    assert [name for name, _ in run.watching.attempts] == ["at-a", "at-b"]
    assert run.told_model == run.out.model == "b"
    assert run.deployments[1].health.successes == 1


@in_virtual_time
async def test_a_model_that_answers_itself_is_not_named() -> None:
    run = Run(says("a"), says("b"))
    await run.answer()
    assert run.told_model is run.out.model is None


@in_virtual_time
async def test_what_blames_the_request_is_not_asked_of_another_model() -> None:
    run = Run(fails(Rejected("bad", status=422)), says("b"))
    with pytest.raises(Rejected):
        await run.answer()
    assert len(run.watching.attempts) == 1


@in_virtual_time
async def test_no_other_model_goes_on_with_what_was_shown() -> None:
    run = Run(fails(Broken("cut"), "shown"), says("b"))
    with pytest.raises(Broken):
        await run.answer()
    assert len(run.watching.attempts) == 1


@in_virtual_time
async def test_a_full_model_is_passed_over() -> None:
    run = Run(says("a"), says("b"))
    full = deployment("full", Doing(says("a")), run.clock, max_streams=0)
    run.plan = (Asked(route(full, model="a"), asking("a")), *run.plan[1:])
    assert await run.answer() == "b"


@in_virtual_time
async def test_when_no_model_answers_the_last_error_is_told() -> None:
    run = Run(fails(Broken("first")), fails(Broken("second")), fails(Broken("third")))
    with pytest.raises(Broken, match="third"):
        await run.answer()


@in_virtual_time
async def test_one_deadline_holds_for_all_models() -> None:
    run = Run(stalls(), stalls(), says("c"), timeouts=Timeouts(first_token=4.0, total=6.0))
    with pytest.raises(TimedOut) as raised:
        await run.answer()
    assert (raised.value.code, run.clock.monotonic()) == ("total", 6.0)
    assert [name for name, _ in run.watching.attempts] == ["at-a", "at-b"]
