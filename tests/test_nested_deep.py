"""Values nested ten thousand deep, wherever others can send us one: a sentence or a plain answer, no traceback."""

from __future__ import annotations

import logging
from pathlib import Path

import aiohttp
import msgpack
import pytest

from tickdeck import MockServer, cli, verb_doctor
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.packing import unpack
from tickdeck.dialects.dialogue import _events
from tickdeck.recorder.rest_client import words_of
from tickdeck.recorder.upstream import Response

CASSETTE = Path(verb_doctor.__file__).parent / "samples" / "minute-turns.cassette"
DEEP = '{"a":' * 10_000 + "1" + "}" * 10_000
BROKEN = [DEEP, f'{{"body":{DEEP},"request":"GET /x"}}', f'{{"frame":{DEEP}}}', f'{{"speed":{DEEP}}}']


@pytest.mark.parametrize("data", [b"\x91" * 10_000 + b"\xc0", b"\x81\xa1a" * 10_000 + b"\xc0"])
def test_msgpack_is_damage(data: bytes) -> None:
    with pytest.raises(FormatError, match="not the msgpack"):
        unpack(data)
    with pytest.raises((ValueError, msgpack.exceptions.StackError)):
        msgpack.unpackb(data)


def test_what_a_service_says_is_no_event() -> None:
    assert _events(DEEP.encode()) == []


def test_a_refusal_is_told_by_its_first_bytes() -> None:
    body = f'{{"error":{DEEP}}}'.encode()
    assert words_of(Response(0, 0, 401, "Unauthorized", (), body, True)) in body.decode()


async def test_a_player_answers_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        MockServer(CASSETTE, start_on="connect", speed="max") as market,
        aiohttp.ClientSession() as session,
    ):
        for name in ("stub", "send", "speed"):
            for body in BROKEN:
                async with session.post(f"{market.http_url}/__tickdeck/{name}", data=body) as answer:
                    assert (answer.status, "deep" in await answer.text()) == (400, True)
        async with session.post(f"{market.http_url}/v1/marketstatus/now?apiKey=any", data=DEEP) as answer:
            assert answer.status == 404
        async with session.ws_connect(f"{market.ws_url}/stocks") as socket:
            for text in (DEEP, f'{{"action":"auth","params":{DEEP}}}', '{"action":"auth","params":"any"}'):
                await socket.send_str(text)
            said = ""
            while '"auth_success"' not in said:
                said = await socket.receive_str(timeout=30)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_line_to_pack_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "x.jsonl"
    lines.write_text(DEEP + "\n")
    assert cli.main(["pack", str(lines), "-o", str(tmp_path / "x.cassette")]) in (2, 3)
    assert "nested too deep" in capsys.readouterr().err
