"""Cassettes in a repository: a diff that can be read, and a hook that lets no secret in."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck import tape

ROOT = Path(__file__).parent.parent
TICKDECK = f"{shlex.quote(sys.executable)} -m tickdeck"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "user.name", "t")
    git(tmp_path, "config", "user.email", "t@example.org")
    git(tmp_path, "config", "diff.tickdeck.textconv", f"{TICKDECK} cat")
    (tmp_path / ".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_the_difference_of_two_cassettes_is_lines(repository: Path) -> None:
    made = tape().at("09:30:00").send({"ev": "T", "sym": "AAPL", "p": 1})
    made.write(repository / "x.cassette")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "one")
    made.at("+1s").send({"ev": "T", "sym": "AAPL", "p": 2}).write(repository / "x.cassette", replace=True)
    changed = git(repository, "diff")
    assert re.search(r"^\+.*p.{1,2}:2", changed, re.M)
    assert not re.search(r"^[+-].*p.{1,2}:1\b", changed, re.M)
    assert "binary" in git(repository, "diff", "--no-textconv").lower()


def hook() -> dict[str, str]:
    """The fields of the one hook."""
    lines = (ROOT / ".pre-commit-hooks.yaml").read_text().splitlines()
    return dict(line.lstrip("- ").split(": ", 1) for line in lines)


def test_the_hook_finds_a_secret_and_names_the_file(tmp_path: Path) -> None:
    assert hook()["language"] == "python"
    assert re.search(hook()["files"], "tests/cassettes/x.cassette")
    assert not re.search(hook()["files"], "x.cassette.md")
    clean = tape().rest("GET", "/v1/now", {}).write(tmp_path / "clean.cassette")
    text = '{"shaped":"an_Api_Key_of_32_characters_00001"}'.replace("00001", "0000")
    leaks = tape().rest("GET", "/v1/now", text).write(tmp_path / "leaks.cassette")
    command = [sys.executable, "-m", *hook()["entry"].split()]
    assert subprocess.run([*command, str(clean)], check=False, capture_output=True).returncode == 0
    done = subprocess.run([*command, str(clean), str(leaks)], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "leaks.cassette" in done.stdout + done.stderr
