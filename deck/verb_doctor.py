"""`tickdeck doctor`: what is wrong with an installation, and what is not there but could be."""

from __future__ import annotations

import importlib
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

import click

from tickdeck.exits import FINDINGS, Exit, Outcome
from tickdeck.jsonlines import JsonLines
from tickdeck.output import say, show
from tickdeck.watch.printable import one_line
from tickdeck.words import columns

FINE: Final = "fine"
NOTE: Final = "note"
WRONG: Final = "wrong"

OLDEST: Final = (3, 11)
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._\-]+)(?:\[[^\]]*\])?\s*(?:>=\s*([0-9.]+))?")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([\w\-]+)['\"]")
_OFFERED: Final = {
    "tls": "play --tls, hard-coded hosts",
    "fast": "quicker checksums, uvloop",
    "testing": "use_market_time, tickdeck.strategies",
}
_MODULES: Final = ("aiohttp", "websockets", "msgpack", "click", "rich", "xxhash", "brotli")


class Finding(NamedTuple):
    """One thing that was looked at."""

    state: str
    what: str
    words: str


@click.command
@click.option("--json", "as_json", is_flag=True, help="One JSON line on stdout.")
def command(as_json: bool) -> Outcome:
    """Say what is wrong with this installation: Python, dependencies, extras, the pytest plugin, loopback, time
    zones, files.

    The exit code is 1 when something is wrong.
    """
    findings = list(_findings())
    wrong = sum(finding.state == WRONG for finding in findings)
    if as_json:
        JsonLines().tell(
            {
                "kind": "doctor",
                "wrong": wrong,
                "findings": [finding._asdict() for finding in findings],
                "failed_because": FINDINGS if wrong else None,
            }
        )
    else:
        show("\n".join(columns([tuple(map(one_line, finding)) for finding in findings], indent="")))
        if not wrong:
            say("nothing is wrong")
    return Outcome(Exit.DIFFERENT, FINDINGS, f"{wrong} wrong") if wrong else Outcome()


def _findings() -> Iterator[Finding]:
    yield _python()
    yield _itself()
    yield from _dependencies()
    yield from _imports()
    yield _plugin()
    yield from _loopback()
    yield _zones()
    yield _files()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        return Finding(WRONG, "python", f"{version} is too old: 3.11 or newer")
    return Finding(FINE, "python", f"{version} in {sys.prefix}")


def _itself() -> Finding:
    version, found = metadata.version("tickdeck"), shutil.which("tickdeck")
    if found is None:
        return Finding(
            NOTE, "tickdeck", f"{version}; the command is not on PATH, python -m tickdeck is the same"
        )
    if Path(found).resolve().parent != Path(sys.executable).resolve().parent and not _is_ours(found):
        return Finding(
            WRONG, "tickdeck", f"{version}, but the command on PATH is another installation's: {found}"
        )
    return Finding(FINE, "tickdeck", version)


def _is_ours(script: str) -> bool:
    """Whether a console script runs this very Python."""
    first = Path(script).read_bytes()[:200].partition(b"\n")[0]
    return str(Path(sys.prefix)).encode() in first


def _dependencies() -> Iterator[Finding]:
    """Each requirement of the wheel: there, and new enough; those of an extra only make a note."""
    lacking: dict[str, list[str]] = {}
    for text in metadata.requires("tickdeck") or ():
        requirement, _, marker = text.partition(";")
        if "python_version" in marker and sys.version_info >= (3, 14):
            continue
        if "sys_platform" in marker and ("== 'win32'" in marker or '== "win32"' in marker) != (
            sys.platform == "win32"
        ):
            continue
        extra = _EXTRA.search(marker)
        found = _REQUIREMENT.match(requirement.strip())
        if found is None or found[1] == "tickdeck" or (extra and extra[1] not in _OFFERED):
            continue
        problem = _problem(found[1], found[2])
        if extra:
            lacking.setdefault(extra[1], [])
            lacking[extra[1]] += [problem] if problem else []
        elif problem:
            yield Finding(WRONG, found[1], problem)
    for extra_name, problems in lacking.items():
        offers = _OFFERED[extra_name]
        if problems:
            words = f"{'; '.join(problems)}: no {offers} (pip install 'tickdeck[{extra_name}]')"
            yield Finding(NOTE, f"extra {extra_name}", words)
        else:
            yield Finding(FINE, f"extra {extra_name}", offers)


def _problem(name: str, least: str | None) -> str:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"
    if least and _numbers(version) < _numbers(least):
        return f"{name} {version} is too old: {least} or newer"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _imports() -> Iterator[Finding]:
    """A package that is there but does not load."""
    broken = []
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            broken.append(Finding(WRONG, name, f"it does not load: {error}"))
    yield from broken or [Finding(FINE, "dependencies", ", ".join(_MODULES))]


def _plugin() -> Finding:
    try:
        version = metadata.version("pytest")
    except metadata.PackageNotFoundError:
        return Finding(NOTE, "pytest", "it is not installed: the plugin is for it")
    entries = [each.value for each in metadata.entry_points(group="pytest11") if each.name == "tickdeck"]
    if entries != ["tickdeck.pytest_plugin"]:
        return Finding(WRONG, "pytest", "the plugin is not registered: install tickdeck again")
    return Finding(FINE, "pytest", f"{version}, with the marker cassette and the fixture market")


def _loopback() -> Iterator[Finding]:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.create_server((address, 0), family=family):
                yield Finding(FINE, "loopback", address)
        except OSError as error:
            state = WRONG if family == socket.AF_INET else NOTE
            yield Finding(state, "loopback", f"cannot listen on {address}: {error.strerror}")


def _zones() -> Finding:
    """Whether the times of day of the exchanges can be known."""
    from tickdeck.cassette.errors import UsageError
    from tickdeck.dialects.markets import MARKETS, zone_of
    from tickdeck.dialects.zones import zone_named

    names = sorted({zone_of(market) for market in MARKETS})
    try:
        for name in names:
            zone_named(name)
    except UsageError as error:
        return Finding(WRONG, "time zones", str(error))
    return Finding(FINE, "time zones", ", ".join(names))


def _files() -> Finding:
    """Whether a cassette can be made where temporary files go."""
    from tickdeck.cassette.errors import TickdeckError
    from tickdeck.testing.tapes import tape

    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryDirectory() as made:
            tape("crypto").at("09:30:00").send({"ev": "XT", "pair": "BTC-USD"}).write(
                Path(made) / "x.cassette"
            )
    except (OSError, TickdeckError) as error:
        return Finding(WRONG, "files", f"no cassette can be made in {folder}: {error}")
    return Finding(FINE, "files", f"cassettes can be made in {folder}")
