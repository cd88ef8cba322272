"""The examples are what they say: they run, as a user would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAILS = "test_naive_bot.py"
"""This one is there to find a bug: `test_strategies.py` has it."""

EXAMPLES = sorted(
    path for path in (Path(__file__).parent.parent / "examples").glob("test_*.py") if path.name != FAILS
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_passes(example: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(example),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "passed" in run.stdout
