"""What a newcomer reads first: help that shows how, and the right word for a wrong command."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tidegate.cli import main

COMMANDS = ("serve", "chat", "models", "doctor")


def test_help_names_every_command_and_where_to_begin() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    assert all(f"\n  {name} " in shown.output for name in COMMANDS)
    assert "To begin:" in shown.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples_and_fits_a_terminal(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Examples:\n    tidegate {name}" in shown.output
    assert all(len(line) <= 80 for line in shown.output.splitlines())


def test_misspelt_command_is_told_the_right_one() -> None:
    shown = CliRunner().invoke(main, ["serv"])
    assert shown.exit_code == 2
    assert "There is no command 'serv'. Did you mean 'serve'?" in shown.output
