"""Writes what `tickdeck VERB --help` prints into docs/cli.md, after a flag has changed.

python docs/refresh_help.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("cli.md")
SHOWN = re.compile(r"(?<=^\$ tickdeck )(?P<verb>(?:\w+ )?)--help\n.*?(?=^```$)", re.M | re.S)


def printed(verb: str) -> str:
    """The help of a verb, at the width of the page."""
    command = [sys.executable, "-m", "tickdeck", *verb.split(), "--help"]
    return subprocess.run(
        command, env=os.environ | {"COLUMNS": "80"}, check=True, capture_output=True, text=True
    ).stdout


def main() -> None:
    """Each help on the page is written anew."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(SHOWN.sub(lambda m: f"{m['verb']}--help\n{printed(m['verb'])}", page), encoding="utf-8")


if __name__ == "__main__":
    main()
