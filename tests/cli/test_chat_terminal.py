"""`tidegate chat` in a real terminal: what is on the screen, and what Ctrl-C does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chat import USAGE, broken_off, chunk, frame, stream, text_chunks, text_stream, tool
from tests.cli.conftest import OpenTerminal
from tests.fixtures import StartGateway
from tests.gateway import Gateway, eventually
from tests.script import Gate, Head, Send, Stall, Step, WaitFor
from tests.upstream import Upstream

Environment = dict[str, str]

SUMMARY = re.compile(r"^mock · 7 tokens · [\d.,]+ tok/s · first token after [\d.]+ m?s$", re.MULTILINE)
PARTS = ["# A title\n\n", "Some **bold** text.\n", "\n- one\n", "- two\n\n", "```python\nprint(1)\n```\n"]
AS_SHOWN = ["A title", "", "Some bold text.", "", " • one", " • two", "", "```python", "print(1)", "```"]


def begun(*pieces: str) -> list[Step]:
    """An answer that stops in the middle, for as long as the connection lasts."""
    return [Head(), *(Send(frame(value)) for value in text_chunks(pieces, finish=None)), Stall()]


def contains(lines: list[str], wanted: list[str]) -> int:
    """How often the wanted lines follow each other."""
    return sum(lines[at : at + len(wanted)] == wanted for at in range(len(lines)))


def test_answer_is_rendered_once_and_measured(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    steps: list[Step] = [Head()]
    gates = [Gate() for _ in PARTS]
    for gate, value in zip(gates, text_chunks(PARTS, role=False, finish=None), strict=True):
        steps += [WaitFor(gate), Send(frame(value))]
    upstream.play([*steps, *stream([chunk(finish="stop"), chunk(usage=USAGE)])[1:]])
    terminal = open_terminal("chat", "m", "-m", "hi", environment=at)
    terminal.wait_for("waiting for the first token")
    for gate, seen in zip(gates, ["A title", "Some bold text.", "• one", "• two", "print(1)"], strict=True):
        gate.open()
        terminal.wait_for(seen)
    assert terminal.wait_for_end() == 0
    assert contains(terminal.screen.lines, AS_SHOWN) == 1
    assert SUMMARY.search(terminal.screen.text)
    assert "waiting" not in terminal.screen.text
    assert terminal.screen.cursor_shown


@pytest.mark.parametrize("shape", ["code", "list", "paragraphs", "one paragraph"])
def test_answer_that_is_higher_than_the_screen_is_whole(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment, shape: str
) -> None:
    numbers = [f"line {number} of many" for number in range(60)]
    pieces = {
        "code": ["```\n", *(f"{line}\n" for line in numbers), "```\n"],
        "list": [f"- {line}\n" for line in numbers],
        "paragraphs": [f"{line}\n\n" for line in numbers],
        "one paragraph": [f"{line}\n" for line in numbers],
    }[shape]
    half, gate = len(pieces) // 2, Gate()
    first, rest = text_chunks(pieces[:half], finish=None), text_chunks(pieces[half:], role=False)
    upstream.play([Head(), *stream(first, done=False)[1:-1], WaitFor(gate), *stream(rest)[1:]])
    # Some shells export the size that the terminal had once; what is drawn must fit the one that it has.
    stale = {**at, "LINES": "50"}
    terminal = open_terminal("chat", "m", "-m", "hi", environment=stale, rows=12)
    terminal.wait_for("line 25")
    gate.open()
    assert terminal.wait_for_end() == 0
    assert [line.lstrip(" •") for line in terminal.screen.lines if "of many" in line] == numbers


def test_wide_characters_fill_the_lines(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    upstream.play(text_stream([*"流式网关永远不会丢失任何一个字，即使读者断开连接。"]))
    terminal = open_terminal("chat", "m", "-m", "hi", environment=at, columns=20)
    assert terminal.wait_for_end() == 0
    # The comma would begin the second line, so that the character before it goes there with it.
    assert (
        contains(terminal.screen.lines, ["流式网关永远不会丢失", "任何一个字，即使读者", "断开连接。"]) == 1
    )


def test_interrupt_cancels_the_answer_and_not_the_program(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    upstream.play(begun("Once upon", " a time"), text_stream())
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    terminal.enter("tell me")
    terminal.wait_for("Once upon a time")
    terminal.interrupt()
    upstream.request().connection.wait_closed()
    terminal.wait_for_prompt(2)
    assert contains(
        terminal.screen.lines, ["Once upon a time", "", "cancelled · /retry asks again, Ctrl-C leaves"]
    )
    terminal.enter("go on")
    terminal.wait_for("Hello world")
    terminal.wait_for_prompt(3)
    assert upstream.request(1).json["messages"] == [
        {"role": "user", "content": "tell me"},
        {"role": "assistant", "content": "Once upon a time"},
        {"role": "user", "content": "go on"},
    ]
    terminal.end_input()
    assert terminal.wait_for_end() == 0
    assert "Goodbye." in terminal.screen.text


def test_interrupt_stops_the_demo_model_at_its_own_pace(
    open_terminal: OpenTerminal, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(None, arguments=("--port", "0"))
    terminal = open_terminal("chat", "demo", home=gateway.folder)
    terminal.wait_for_prompt()
    terminal.enter("hello")
    terminal.wait_for("This is the demo model")
    terminal.interrupt()
    terminal.wait_for("cancelled")
    terminal.wait_for_prompt(2)
    eventually(lambda: "cancelled model=demo" in gateway.output(), "the cancelled generation in the log")
    assert "tidegate doctor" not in terminal.screen.text
    terminal.end_input()
    assert terminal.wait_for_end() == 0


def test_interrupt_before_the_first_token(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    upstream.play([Stall()], text_stream())
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    terminal.enter("first")
    terminal.wait_for("waiting for the first token")
    upstream.request()
    terminal.interrupt()
    upstream.request().connection.wait_closed()
    terminal.wait_for_prompt(2)
    terminal.enter("/retry")
    terminal.wait_for("Hello world")
    assert upstream.request(1).json["messages"] == [{"role": "user", "content": "first"}]


def test_interrupt_at_the_prompt_leaves_the_second_time(
    open_terminal: OpenTerminal, gateway: Gateway, at: Environment
) -> None:
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    terminal.type("half a question")
    terminal.wait_for("› half a question")
    terminal.interrupt_prompt("\n›")
    terminal.interrupt_prompt("Ctrl-C again, or Ctrl-D, leaves.")
    terminal.wait_for_prompt(3)
    terminal.interrupt_prompt("Goodbye.")
    assert terminal.wait_for_end() == 0


def test_error_in_mid_answer_keeps_the_text_and_the_conversation(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    failure = {"error": {"message": "the model has gone away", "type": "server_error"}}
    upstream.play(broken_off(text_chunks(["Half an"], finish=None), Send(frame(failure))), text_stream())
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    terminal.enter("tell me")
    terminal.wait_for_prompt(2)
    wanted = ["Half an", "", "the model has gone away  (/retry asks again)"]
    assert contains(terminal.screen.lines, wanted) == 1
    terminal.enter("/retry")
    terminal.wait_for("Hello world")
    assert upstream.request(1).json["messages"] == [{"role": "user", "content": "tell me"}]


def test_thinking_is_shown_while_it_lasts(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    gate = Gate()
    answer = stream(text_chunks(["Blue."], role=False))[1:]
    upstream.play([Head(), Send(frame(chunk(reasoning="What colour is it?"))), WaitFor(gate), *answer])
    terminal = open_terminal("chat", "m", "-m", "hi", environment=at)
    terminal.wait_for("What colour is it?")
    terminal.wait_for("thinking")
    gate.open()
    assert terminal.wait_for_end() == 0
    assert re.search(r"^thought for [\d.]+ s\n\nBlue\.$", terminal.screen.text, re.MULTILINE)
    assert "What colour" not in terminal.screen.text


def test_thinking_stays_when_that_is_asked_for(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    upstream.play(stream([chunk(reasoning="What colour?"), *text_chunks(["Blue."], role=False)]))
    terminal = open_terminal("chat", "m", "-m", "hi", "--thinking", environment=at)
    assert terminal.wait_for_end() == 0
    assert contains(terminal.screen.lines, ["What colour?", "", "Blue."]) == 1


def test_tool_call_is_one_line(open_terminal: OpenTerminal, upstream: Upstream, at: Environment) -> None:
    call = chunk(tool_calls=[tool(0, '{"city": "Paris"}', call_id="call_1", name="weather")])
    upstream.play(stream([chunk("Let me look."), call, chunk(finish="tool_calls")]))
    terminal = open_terminal("chat", "m", "-m", "hi", environment=at)
    assert terminal.wait_for_end() == 0
    assert contains(terminal.screen.lines, ["Let me look.", "", '→ calls weather({"city": "Paris"})']) == 1


@pytest.mark.parametrize("option", ["--no-markdown", "--plain"])
def test_markdown_can_be_shown_as_it_is(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment, option: str
) -> None:
    upstream.play(text_stream(PARTS))
    terminal = open_terminal("chat", "m", "-m", "hi", option, environment=at)
    assert terminal.wait_for_end() == 0
    assert contains(terminal.screen.lines, "".join(PARTS).splitlines()) == 1
    if option == "--plain":
        assert "\x1b" not in terminal.raw


def test_answer_cannot_steer_the_terminal(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    upstream.play(text_stream(["before\x1b[2J\x07\x9b31m", " after"]))
    terminal = open_terminal("chat", "m", "-m", "hi", "--plain", environment=at)
    assert terminal.wait_for_end() == 0
    assert "before[2J31m after" in terminal.screen.text


def test_messages_may_have_several_lines(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    terminal.enter("one\\")
    terminal.wait_for("…")
    terminal.enter("two")
    terminal.wait_for_prompt(2)
    terminal.enter('"""three')
    terminal.enter("four")
    terminal.enter('five"""')
    terminal.wait_for_prompt(3)
    asked = [upstream.request(number).json["messages"][-1]["content"] for number in (0, 1)]
    assert asked == ["one\ntwo", "three\nfour\nfive"]


def test_pasted_lines_are_one_message(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    if "\x1b[?2004h" not in terminal.raw:
        pytest.skip("this readline does not tell pasted text from typed text")
    terminal.type("\x1b[200~one\rtwo\x1b[201~")
    terminal.enter("")
    terminal.wait_for_prompt(2)
    assert upstream.request().json["messages"][-1]["content"] == "one\ntwo"


def test_what_is_typed_during_an_answer_is_the_next_message(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    gate = Gate()
    answer = stream(text_chunks([" there"], role=False))[1:]
    upstream.play([Head(), Send(frame(chunk("Hello"))), WaitFor(gate), *answer])
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    terminal.enter("first")
    terminal.wait_for("Hello")
    terminal.type("second")
    gate.open()
    terminal.wait_for("› second")
    assert contains(terminal.screen.lines, ["› first", "", "Hello there", ""]) == 1
    terminal.enter("")
    assert upstream.request(1).json["messages"][-1]["content"] == "second"


def test_commands(open_terminal: OpenTerminal, upstream: Upstream, at: Environment, tmp_path: Path) -> None:
    terminal = open_terminal("chat", "m", environment=at)

    def enter(line: str, answer: str) -> None:
        number = terminal.prompts
        terminal.enter(line)
        terminal.wait_for_prompt(number + 1)
        assert answer in "\n".join(terminal.screen.text.rsplit("›", 2)[-2:])

    terminal.wait_for_prompt()
    enter("/help", "/save FILE")
    enter("/modle", "There is no command /modle; did you mean /model?")
    enter("/models", "again")
    enter("/model nobody", "there is no model 'nobody' here")
    enter("/model again", "Talking to again.")
    enter("/system Be brief.", "System message: Be brief.")
    enter("hello", "Hello world")
    enter("/save talk.md", "Saved to")
    enter("/save talk.md", "Saved to")
    enter("/save tidegate.json", "Saved to")
    (tmp_path / "mine.md").write_text("mine", "utf-8")
    enter("/save mine.md", "mine.md is there already")
    enter("/clear", "The conversation begins anew.")
    enter("/system off", "There is no system message.")
    enter("/retry", "There is nothing to ask again.")
    enter("again", "Hello world")
    terminal.enter("/quit")
    assert terminal.wait_for_end() == 0
    assert (tmp_path / "talk.md").read_text("utf-8") == (
        "> System: Be brief.\n\n**You**\n\nhello\n\n**mock**\n\nHello world\n"
    )
    assert (tmp_path / "mine.md").read_text("utf-8") == "mine"
    assert '"model": "again"' in (tmp_path / "tidegate.json").read_text("utf-8")
    assert upstream.request(0).json["messages"][0] == {"role": "system", "content": "Be brief."}
    assert upstream.request(1).json["messages"] == [{"role": "user", "content": "again"}]


def test_questions_are_remembered_between_conversations(
    open_terminal: OpenTerminal, upstream: Upstream, at: Environment
) -> None:
    terminal = open_terminal("chat", "m", environment=at)
    terminal.wait_for_prompt()
    terminal.enter("what was that?")
    terminal.wait_for_prompt(2)
    terminal.end_input()
    terminal.wait_for_end()
    later = open_terminal("chat", "m", environment=at)
    later.wait_for_prompt()
    later.type("\x1b[A")
    later.wait_for("› what was that?")


def test_wrong_model_is_told_before_the_first_prompt(
    open_terminal: OpenTerminal, gateway: Gateway, at: Environment
) -> None:
    terminal = open_terminal("chat", "nobody", environment=at)
    assert terminal.wait_for_end() == 1
    assert "there is no model 'nobody' here" in terminal.screen.text
    assert "›" not in terminal.screen.text
