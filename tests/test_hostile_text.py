"""What others wrote cannot steer a terminal, forge a line, or break off what is said."""

import json
import re
import sys

import pytest

from tickdeck import cli
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse
from tickdeck.exits import Exit
from tickdeck.mockserver.harness import MockServer

STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ESCAPE = "\x1b]0;x\x07"
FORGED = "client 9 left"

CASSETTE = (
    {"kind": "cassette", "v": 1, "epoch_ns": 1577975400000000000, "note": ESCAPE, "program": f"p\n{FORGED}"},
    {"kind": "track", "track": 0, "market": "\x1b[31mX", "url": "ws://h/%1b[31mX\x9b"},
    {
        "payload": '[{"ev":"T","sym":"\\ud800","t":1577975400000},{"ev":"T","sym":"a\\nclient 9 left"}]',
        "at": 1,
    },
    {"payload": '[{"ev":"T","sym":"\x7f\u202e","t":1577975400001}]', "at": 1},
    {"kind": "interaction", "url": "http://h/v3/\x1b[2J", "body": "{}", "at": 1.5},
    {"kind": "closed", "track": 0, "code": 1000, "reason": ESCAPE, "at": 2},
    {"kind": "gap", "market": "st\x1bocks", "reason": ESCAPE, "end_ns": 2500000000, "at": 2.1},
)

BOT = r"""
import asyncio, os, aiohttp
async def main():
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(os.environ["TICKDECK_WS"] + "/stocks") as socket:
            await socket.send_str('{"action":"auth","params":"any"}')
            await socket.send_str('{"action":"subscribe","params":"T.\\ud800,T.a\\nclient 9 left,T.\\u009b31m"}')
            for _ in range(3):
                await socket.receive(10)
        async with session.get(os.environ["TICKDECK_HTTP"] + "/v3/%1b[31mX%0aclient 9 left?apiKey=any") as answer:
            await answer.read()
        try:
            await session.ws_connect(os.environ["TICKDECK_WS"] + "/%1b[31mX")
        except aiohttp.ClientError:
            pass
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    lines = folder / "lines"
    lines.write_text("\n".join(map(json.dumps, CASSETTE)))
    made = folder / "hostile.cassette"
    assert cli.main(["pack", str(lines), "-o", str(made)]) == Exit.FINE
    return made


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


def said(capfd):
    """All that was printed, of which nothing steers a terminal or begins a line of its own."""
    out, err = capfd.readouterr()
    assert STEERS.search(out + err) is None
    assert not [line for line in (out + err).splitlines() if line.startswith(FORGED)]
    return out, err


@pytest.mark.parametrize(
    "arguments",
    [["info"], ["info", "--json"], ["cat"], ["cat", "--events"], ["verify"], ["audit"], ["verify", "--json"]],
)
def test_a_cassette_of_others_prints_nothing_but_text(arguments, hostile, capfd):
    assert cli.main([*arguments, str(hostile)]) == Exit.FINE
    out, _ = said(capfd)
    assert out


def test_an_unknown_field_is_named_and_steers_nothing(tmp_path, capfd):
    lines = tmp_path / "lines"
    lines.write_text(json.dumps({"payload": "x", "\x1b[31mfoo": 1}))
    assert cli.main(["pack", str(lines), "-o", str(tmp_path / "x.cassette")]) == Exit.USAGE
    assert "has no field \\x1b[31mfoo" in said(capfd)[1]


def test_half_a_character_in_a_line_of_pack_is_a_mistake_in_that_line(tmp_path, capfd):
    lines = tmp_path / "lines"
    lines.write_text(json.dumps({"kind": "cassette", "note": "\ud800"}))
    assert cli.main(["pack", str(lines), "-o", str(tmp_path / "x.cassette")]) == Exit.USAGE
    assert said(capfd)[1] == 'tickdeck: line 1: note is not text that UTF-8 can hold: "\\ud800"\n'


@pytest.mark.parametrize("as_json", [["--json"], []])
def test_what_a_client_sends_to_a_play_is_told_as_text(as_json, tape, capfd):
    play = ["play", str(tape), "--port", "0", "--speed", "max", "--allow-unmatched", *as_json]
    assert cli.main([*play, "--", sys.executable, "-c", BOT]) == Exit.FINE
    out, err = said(capfd)
    if as_json:
        lines = list(map(json.loads, out.splitlines()))
        assert lines[-1]["kind"] == "report"
        assert any("T.\ud800" in line.get("channels", ()) for line in lines)
    else:
        assert "T.\\ud800, T.a\\nclient 9 left, T.\\x9b31m" in err


@pytest.mark.parametrize("as_json", [["--json"], []])
def test_what_a_client_sends_to_a_recorder_is_told_as_text(as_json, tape, tmp_path, capfd):
    with MockServer(tape, speed="max") as vendor:
        upstream = ["--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url]
        record = ["record", "-o", str(tmp_path / "x.cassette"), *upstream, "--note", ESCAPE, *as_json]
        assert cli.main([*record, "--", sys.executable, "-c", BOT]) == Exit.FINE
    out, err = said(capfd)
    if as_json:
        lines = list(map(json.loads, out.splitlines()))
        assert lines[-1]["kind"] == "report"
        assert any(line.get("market") == "\x1b[31mX" for line in lines)
    else:
        assert "\\x1b[31mX" in err
