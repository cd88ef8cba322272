"""The command as a whole: verbs, errors as one sentence, exit codes."""

import errno

import pytest

from tickdeck import cli
from tickdeck.cassette.errors import (
    FormatError,
    RecordingError,
    ReplayError,
    StorageError,
    TickdeckError,
    UsageError,
)
from tickdeck.exits import Exit, exit_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TickdeckError("x"), 1),
        (ReplayError("x"), 1),
        (UsageError("x"), 2),
        (FormatError("x"), 3),
        (RecordingError("x"), 4),
        (StorageError("x"), 6),
        (FileNotFoundError(errno.ENOENT, "x"), 2),
        (FileExistsError(errno.EEXIST, "x"), 2),
        (PermissionError(errno.EACCES, "x"), 6),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_of(error) == code


def test_help_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert [verb for verb in cli.VERBS if f"  {verb} " not in out] == []


def test_no_arguments_show_the_help(capsys):
    assert cli.main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: tickdeck")


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_and_says_what_it_does(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: tickdeck {verb}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["paly"], "no such command 'paly'"),
        (["info"], "missing argument 'FILE...'"),
        (["info", "--frobnicate"], "no such option"),
        (["info", "nothing-here.cassette"], "no such cassette: nothing-here.cassette"),
        (["play", "x.cassette", "--speed", "fast"], "speed is neither a factor nor max"),
        (["play", "x.cassette", "--start-on", "whim"], "start on is none of connect, auth, subscribe"),
        (["play", "x.cassette", "--key-env", "NOT_SET_ANYWHERE"], "there is no such variable"),
        (["play", "x.cassette", "--wait", "soon"], "'soon' is no duration"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    assert cli.main(arguments) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tickdeck: ")
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert not said.err.rstrip().endswith(".")


def test_dashes_begin_a_command_only_for_verbs_that_take_one():
    assert cli.split_command(["play", "x", "--", "bot", "--", "-v"]) == (["play", "x"], ("bot", "--", "-v"))
    assert cli.split_command(["info", "--", "-odd.cassette"]) == (["info", "--", "-odd.cassette"], ())
    assert cli.split_command([]) == ([], ())


def test_a_setting_of_the_folder_becomes_a_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickdeck.toml").write_text('[play]\nspeed = "fast"\n')
    assert cli.main(["play", "x.cassette"]) == Exit.USAGE
    assert "'fast'" in capsys.readouterr().err


def test_the_environment_goes_before_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKDECK_PLAY_SPEED", "slow")
    (tmp_path / "tickdeck.toml").write_text('[play]\nspeed = "fast"\n')
    assert cli.main(["play", "x.cassette"]) == Exit.USAGE
    assert "'slow'" in capsys.readouterr().err


def test_an_unknown_setting_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickdeck.toml").write_text("[play]\nsped = 10\n")
    assert cli.main(["play", "x.cassette"]) == Exit.USAGE
    assert "sped is not a flag of play" in capsys.readouterr().err
