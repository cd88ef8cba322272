"""Defaults from the working folder."""

import click
import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.config import defaults

VERBS = ("play", "info")


@click.command
@click.option("--start-on")
@click.option("--once", is_flag=True)
@click.option("--reject-key", "rejected", multiple=True)
def play(**_flags):
    """A verb with one flag of each kind."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder, text, name="tickdeck.toml"):
    (folder / name).write_text(text)
    return defaults("play", play, known_verbs=VERBS)


def test_flags_are_spelled_as_on_the_command_line(folder):
    found = read(folder, '[play]\nstart-on = "auth"\nonce = true\nreject-key = ["a", "b"]\n')
    assert found == {"start_on": "auth", "once": True, "rejected": ["a", "b"]}


def test_pyproject_holds_them_under_tool_tickdeck(folder):
    found = read(folder, '[tool.other]\nx = 1\n[tool.tickdeck.play]\nstart-on = "auth"\n', "pyproject.toml")
    assert found == {"start_on": "auth"}


def test_the_own_file_goes_before_pyproject(folder):
    (folder / "pyproject.toml").write_text('[tool.tickdeck.play]\nstart-on = "auth"\n')
    assert read(folder, '[play]\nstart-on = "connect"\n') == {"start_on": "connect"}


def test_numbers_may_stand_without_quotes(folder):
    assert read(folder, "[play]\nstart-on = 10\n") == {"start_on": "10"}


def test_another_verbs_table_is_no_concern_of_this_one(folder):
    assert read(folder, "[info]\nchannels = 3\n") == {}


def test_an_empty_folder_has_no_defaults(folder):
    assert defaults("play", play, known_verbs=VERBS) == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[play]\nsped = 10\n", "sped is not a flag of play"),
        ("[paly]\nspeed = 10\n", "paly is not a verb"),
        ("speed = 10\n", "speed is not a verb"),
        ("play = 10\n", "it should be a table of flags"),
        ("[play]\nonce = 1\n", "it should be true or false"),
        ("[play]\nstart-on = true\n", "start-on wants a value"),
        ("[play]\nstart-on = [1, 2]\n", "it should be one value"),
        ("[play]\nreject-key = [[1], 2]\n", "it should be one value"),
        ("[play\n", "tickdeck.toml: expected"),
        (f"play = {'1' * 5000}\n", "tickdeck.toml: exceeds the limit"),
        (f"[play]\nstart-on = 0x{'f' * 5000}\n", "start-on is a number of too many digits"),
        (f"play = {'[' * 10_000}{']' * 10_000}\n", "tickdeck.toml: its values are nested too deep"),
        (f"play = {'{a=' * 10_000}1{'}' * 10_000}\n", "tickdeck.toml: its values are nested too deep"),
        (f"play = {'[' * 300}{']' * 300}\n", "it should be a table of flags"),
        (f"[play]\n{'.'.join(['once'] * 20_000)} = 1\n", "it should be true or false"),
        (f"[play]\nreject-key = {'[' * 300}{']' * 300}\n", "it should be one value"),
    ],
)
def test_a_mistake_is_named(folder, text, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(folder, text)


def test_a_tool_entry_that_is_no_table_is_named(folder):
    with pytest.raises(UsageError, match="it should be a table of verbs"):
        read(folder, "[tool]\ntickdeck = 1\n", "pyproject.toml")


def test_a_deep_value_in_pyproject_is_named_as_well(folder):
    text = f"[tool.tickdeck.play]\nstart-on = {'[' * 10_000}{']' * 10_000}\n"
    with pytest.raises(UsageError, match=r"pyproject\.toml: its values are nested too deep"):
        read(folder, text, "pyproject.toml")
