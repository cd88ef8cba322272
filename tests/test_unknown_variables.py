"""A misspelled ``TICKDECK_*`` is said, by its name alone; a flag is read from the variable of its own name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tickdeck import cli, pytest_plugin, verb_doctor
from tickdeck.gateway.variables import addresses
from tickdeck.variables import MOST_NAMED, variable_of

CASSETTE = str(Path(verb_doctor.__file__).parent / "samples" / "minute-turns.cassette")


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TICKDECK_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def said(capsys: Any) -> Any:
    def of(*arguments: str, code: int = 0) -> str:
        assert cli.main(arguments) == code
        return str(capsys.readouterr().err)

    return of


def test_a_slip_of_the_pen_is_said_with_the_nearest_name_and_not_its_value(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKDECK_PLYA_SPEED", "s3cret-value")
    line = "tickdeck: nothing reads TICKDECK_PLYA_SPEED (did you mean TICKDECK_PLAY_SPEED?)\n"
    assert said("info", CASSETTE) == line


def test_a_name_like_no_other_is_said_alone(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKDECK_VERSION", "1.2.3")
    assert said("info", CASSETTE) == "tickdeck: nothing reads TICKDECK_VERSION\n"


def test_many_are_one_line(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MOST_NAMED + 3):
        monkeypatch.setenv(f"TICKDECK_{number}\n", "")
    told = said("info", CASSETTE)
    assert told.count("\n") == 1
    assert told.endswith(" and 3 more\n")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("info", "--help"), ("play", "-h"), ()])
def test_help_and_version_say_nothing_of_it(
    arguments: tuple[str, ...], said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKDECK_PLYA_SPEED", "10")
    assert said(*arguments) == ""


def test_what_we_set_for_a_command_and_the_flags_of_other_verbs_are_known(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [name for name in addresses(http="", ws="", feed="") if name.startswith("TICKDECK_")]
    for name in (*ours, "TICKDECK_TRACEBACK", "TICKDECK_PLAY_SPEED", "TICKDECK_RECORD_SECRET_ENV"):
        monkeypatch.setenv(name, "")
    assert said("info", CASSETTE) == ""


def test_a_variable_that_a_flag_names_is_the_users_own(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKDECK_MY_KEY", "a-key-of-more-than-sixteen")
    assert "TICKDECK" not in said("audit", CASSETTE, "--secret-env", "TICKDECK_MY_KEY")


def _flags() -> Iterator[tuple[str, str]]:
    for verb in cli.VERBS:
        for parameter in cli.verb_called(verb).params:
            yield from ((verb, flag) for flag in parameter.opts if flag.startswith("--"))


@pytest.mark.parametrize(("verb", "flag"), list(_flags()))
def test_every_flag_has_a_variable_that_is_read(verb: str, flag: str) -> None:
    command = cli.verb_called(verb)
    option = next(each for each in command.params if flag in each.opts)
    environment = pytest.MonkeyPatch()
    with environment.context() as patch:
        patch.setenv(variable_of(verb, flag), "x")
        context = command.context_class(command, info_name=verb, auto_envvar_prefix="TICKDECK")
        assert option.resolve_envvar_value(context) == "x"


def test_a_flag_whose_parameter_has_another_name_is_read(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKDECK_SYNTH_FOR", "no duration")
    told = said("synth", "-o", str(tmp_path / "x.cassette"), code=2)
    assert "'--for': 'no duration' is no duration" in told


def test_the_header_of_a_pytest_run_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pytest_plugin.pytest_report_header() is None
    monkeypatch.setenv("TICKDECK_PLAY_SPEED", "10")
    assert pytest_plugin.pytest_report_header() is None
    monkeypatch.setenv("TICKDECK_PLYA_SPEED", "s3cret-value")
    assert pytest_plugin.pytest_report_header() == (
        "tickdeck: nothing reads TICKDECK_PLYA_SPEED (did you mean TICKDECK_PLAY_SPEED?)"
    )


def test_a_verb_that_was_made_ready_without_the_deck_still_knows_its_help() -> None:
    command = cli.verb_called("cat")
    command._help_option = None  # as in a new process
    command.make_context("cat", [], resilient_parsing=True)
    assert cli.main(("cat", "-h")) == 0
