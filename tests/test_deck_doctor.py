"""`tickdeck doctor`: a sound installation, and what it says of one that is not."""

from __future__ import annotations

import json
import socket
from importlib import metadata
from typing import Any

import pytest

from tickdeck import cli, verb_doctor


def findings(capsys: Any, *, code: int) -> dict[str, tuple[str, str]]:
    assert cli.main(["doctor", "--json"]) == code
    line = json.loads(capsys.readouterr().out)
    assert line["kind"] == "doctor"
    assert line["wrong"] == sum(each["state"] == "wrong" for each in line["findings"])
    return {each["what"]: (each["state"], each["words"]) for each in line["findings"]}


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command of this environment is the one that is found."""
    monkeypatch.setattr(verb_doctor.shutil, "which", lambda name: None)


def test_nothing_is_wrong_here(capsys: Any) -> None:
    found = findings(capsys, code=0)
    assert {found[name][0] for name in ("python", "dependencies", "pytest", "files", "extra tls")} == {"fine"}
    assert cli.main(["doctor"]) == 0
    assert "nothing is wrong" in capsys.readouterr().err


def test_a_dependency_that_is_missing_or_too_old_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "msgpack":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "aiohttp" else real(name)

    monkeypatch.setattr(verb_doctor.metadata, "version", version)
    found = findings(capsys, code=1)
    assert found["msgpack"] == ("wrong", "msgpack is not installed")
    assert found["aiohttp"][1].startswith("aiohttp 0.1 is too old: 3.")


def test_an_extra_that_is_missing_is_a_note_with_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "trustme":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(verb_doctor.metadata, "version", version)
    state, words = findings(capsys, code=0)["extra tls"]
    assert state == "note"
    assert words == (
        "trustme is not installed: no play --tls, hard-coded hosts (pip install 'tickdeck[tls]')"
    )


def test_a_package_that_does_not_load_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    real = verb_doctor.importlib.import_module

    def load(name: str) -> Any:
        if name == "brotli":
            raise ImportError("wrong ELF class")
        return real(name)

    monkeypatch.setattr(verb_doctor.importlib, "import_module", load)
    assert findings(capsys, code=1)["brotli"] == ("wrong", "it does not load: wrong ELF class")


def test_a_plugin_that_is_not_registered_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(verb_doctor.metadata, "entry_points", lambda group: ())
    assert findings(capsys, code=1)["pytest"][0] == "wrong"


def test_no_loopback_and_no_room_for_files_are_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Any
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket, "create_server", refuse)
    monkeypatch.setattr(verb_doctor.tempfile, "TemporaryDirectory", refuse)
    found = findings(capsys, code=1)
    assert found["loopback"][1].startswith("cannot listen on")
    assert found["files"][0] == "wrong"


def test_a_command_of_another_installation_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Any
) -> None:
    other = tmp_path / "tickdeck"
    other.write_text("#!/opt/elsewhere/bin/python\n")
    monkeypatch.setattr(verb_doctor.shutil, "which", lambda name: str(other))
    state, words = findings(capsys, code=1)["tickdeck"]
    assert state == "wrong"
    assert str(other) in words
