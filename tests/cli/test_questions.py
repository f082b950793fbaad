"""What an agent asks is answered at the prompt of `tidegate chat`, and from any other terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agents.asking import asked, asking_home, question_of, reading
from tests.cli.conftest import OpenTerminal, RunCommand
from tests.crash.killing import Home, crash_config
from tests.gateway import eventually
from tests.upstream import Upstream


@pytest.fixture(scope="module")
def home(_shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with asking_home(tmp_path_factory.mktemp("asking") / "home", crash_config(_shared_upstream)) as made:
        yield made


def test_a_question_is_answered_at_the_prompt(open_terminal: OpenTerminal, home: Home) -> None:
    terminal = open_terminal("chat", "asks-leave", environment={"TIDEGATE_URL": home.gateway.url})
    terminal.wait_for_prompt()
    terminal.enter("do it")
    terminal.wait_for("yes or no>")
    assert "Question: May I?" in terminal.screen.text
    terminal.enter("perhaps")
    terminal.wait_for("Type yes or no.")
    terminal.enter("yes")
    terminal.wait_for("Done.")
    terminal.wait_for_prompt(2)
    terminal.end_input()
    assert terminal.wait_for_end() == 0


def test_one_question_of_a_single_answer_is_answered_too(open_terminal: OpenTerminal, home: Home) -> None:
    at = {"TIDEGATE_URL": home.gateway.url}
    terminal = open_terminal("chat", "asks-trip", "-m", "go", environment=at)
    terminal.wait_for("JSON with town, nights>")
    terminal.enter('{"town": "Ely"}')
    terminal.wait_for("'nights' is missing")
    terminal.enter('{"town": "Ely", "nights": 2}')
    terminal.wait_for("2 nights in Ely.")
    assert terminal.wait_for_end() == 0


def test_interrupt_at_a_question_stops_the_answer(open_terminal: OpenTerminal, home: Home) -> None:
    terminal = open_terminal("chat", "asks-name", environment={"TIDEGATE_URL": home.gateway.url})
    terminal.wait_for_prompt()
    terminal.enter("do it")
    terminal.wait_for("answer>")
    terminal.interrupt_prompt("cancelled · /retry asks again")
    running = home.gateway.get("/v1/streams?status=running")["data"]
    assert not [each for each in running if each["model"] == "asks-name"]
    terminal.wait_for_prompt(2)
    terminal.end_input()
    assert terminal.wait_for_end() == 0


def test_a_stream_is_answered_from_another_terminal(home: Home, run_inside: RunCommand) -> None:
    at = {"TIDEGATE_URL": home.gateway.url}
    begun = reading(home, "asks-leave", "May I?")
    shown = run_inside("streams", "show", begun.stream, environment=at).stdout
    assert f"May I? (yes or no): tidegate streams input {begun.stream} TEXT" in shown
    wrong = run_inside("streams", "input", begun.stream, "perhaps", environment=at)
    assert (wrong.returncode, "yes or no" in wrong.stderr) == (1, True)
    done = run_inside("streams", "input", begun.stream, "no", environment=at)
    assert (done.returncode, done.stdout) == (0, f"{begun.stream}: goes on\n")
    begun.has("Left alone.")
    begun.ended()
    late = run_inside("streams", "input", begun.stream, "no", environment=at)
    assert (late.returncode, "does not ask" in late.stderr) == (1, True)


def test_an_answer_from_elsewhere_takes_the_question_away(
    open_terminal: OpenTerminal, home: Home, run_inside: RunCommand
) -> None:
    begun = reading(home, "asks-twice", "First?")
    at = {"TIDEGATE_URL": home.gateway.url}
    terminal = open_terminal("resume", begun.stream, environment=at)
    terminal.wait_for("answer>")
    run_inside("streams", "input", begun.stream, "one", environment=at)
    question_of(home.gateway, begun.stream, "Second?")
    terminal.enter("uno")
    terminal.wait_for("does not ask")
    terminal.wait_for("Second?")
    run_inside("streams", "input", begun.stream, "-", text="two\n", environment=at)
    eventually(lambda: not asked(home.gateway, begun.stream), "the second is answered")
    begun.ended()
