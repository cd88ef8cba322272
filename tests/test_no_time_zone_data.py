"""A machine without time-zone data, as slim images are: what needs it says so, all else works."""

from __future__ import annotations

import os
import subprocess
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tickdeck import MockServer, cli, verb_doctor
from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.markets import MARKETS, zone_of
from tickdeck.dialects.zones import zone_named, zone_to_show
from tickdeck.testing.tapes import tape

CASSETTE = Path(verb_doctor.__file__).parent / "samples" / "minute-turns.cassette"
SENTENCE = "no time-zone data for America/New_York on this machine: install tzdata (pip install tzdata)"


@pytest.fixture
def no_zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = zoneinfo.TZPATH
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(())
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath(before)
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("no_zones")
@pytest.mark.parametrize(
    "arguments",
    [
        ("play", str(CASSETTE), "--from", "09:31:00", "--once"),
        ("play", str(CASSETTE), "--time-shift", "today", "--once"),
        ("record", "--until", "16:00", "-o", "x.cassette", "--upstream-http", "http://127.0.0.1:1"),
        ("cut", str(CASSETTE), "--from", "09:31:00", "-o", "x.cassette"),
    ],
)
def test_a_verb_that_needs_the_clock_of_an_exchange_says_what_to_install(
    arguments: tuple[str, ...], capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert SENTENCE in said
    assert "defect" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_zones")
def test_a_verb_that_only_shows_times_shows_them_in_utc(capsys: Any) -> None:
    assert cli.main(["info", str(CASSETTE)]) == 0
    assert " UTC" in capsys.readouterr().out


@pytest.mark.usefixtures("no_zones")
async def test_in_python_it_is_an_error_of_ours() -> None:
    with pytest.raises(UsageError, match="install tzdata"):
        tape().at("09:30:00")
    with pytest.raises(UsageError, match="install tzdata"):
        async with MockServer(CASSETTE, time_shift="today"):
            pass
    with pytest.raises(UsageError, match="install tzdata"):
        async with MockServer(CASSETTE, begin="09:31:00"):
            pass
    async with MockServer(CASSETTE, begin="+1s", start_on="connect"):
        pass


@pytest.mark.usefixtures("no_zones")
def test_the_markets_that_never_close_need_no_data() -> None:
    assert str(zone_named(zone_of("crypto"))) == "UTC"
    tape("forex").at("09:30:00").send({"ev": "C", "p": "EUR/USD"})


def test_data_that_cannot_be_read_is_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "America").mkdir()
    (tmp_path / "America" / "New_York").write_bytes(b"no zone")
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath((tmp_path,))
    zoneinfo.ZoneInfo.clear_cache()
    try:
        with pytest.raises(UsageError, match="install tzdata"):
            zone_named("America/New_York")
        assert str(zone_to_show("America/New_York")) == "UTC"
    finally:
        zoneinfo.reset_tzpath(before)
        zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("no_zones")
def test_the_doctor_says_it_once(capsys: Any) -> None:
    assert cli.main(["doctor"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrong")]
    assert len(lines) == 1
    assert "install tzdata" in lines[0]


def test_the_doctor_names_the_zones_that_are_there(capsys: Any) -> None:
    cli.main(["doctor"])
    assert ", ".join(sorted({zone_of(market) for market in MARKETS})) in capsys.readouterr().out


def test_everything_can_be_imported_without() -> None:
    code = (
        "import sys; sys.modules['tzdata'] = None\n"
        "import tickdeck, tickdeck.cli, tickdeck.pytest_plugin, tickdeck.strategies, tickdeck.verb_play"
    )
    environment = {**os.environ, "PYTHONTZPATH": ""}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, check=True)
