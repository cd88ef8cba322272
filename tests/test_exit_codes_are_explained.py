"""Where the exit code is not 0 the last line says why, and a report has it in a word."""

import json
import sys

import pytest

from tickdeck import cli, playing
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse
from tickdeck.exits import Exit
from tickdeck.mockserver.harness import MockServer

ASKS_FOR_MORE = """
import os, urllib.request
try:
    urllib.request.urlopen(os.environ["TICKDECK_HTTP"] + "/v1/nothing?apiKey=any")
except OSError:
    pass
"""
ASKS = "import os, urllib.request as r; r.urlopen(os.environ['TICKDECK_HTTP'] + '/v1/marketstatus/now?apiKey=any')"


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("exits") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


@pytest.fixture
def damaged(tape, tmp_path):
    path = tmp_path / "damaged.cassette"
    data = bytearray(tape.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


def run(capfd, *arguments):
    """The exit code, the last line of stderr, and the last JSON line."""
    code = cli.main([*map(str, arguments)])
    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in out.splitlines() if line.startswith('{"kind"')]
    return code, err.splitlines()[-1] if err else "", lines[-1] if lines else None


@pytest.mark.parametrize("as_json", [["--json"], []])
@pytest.mark.parametrize(
    ("bot", "flags", "code", "because", "sentence"),
    [
        (ASKS_FOR_MORE, [], Exit.UNMATCHED, "unmatched", "tickdeck: 1 request was not on the cassette; "),
        (ASKS_FOR_MORE, ["--allow-unmatched"], Exit.FINE, None, None),
        ("raise SystemExit(7)", [], 7, "command", "tickdeck: the command ended with 7"),
        ("import os; os.kill(os.getpid(), 9)", [], 137, "command", "tickdeck: signal 9 ended the command"),
    ],
)
def test_of_a_play(bot, flags, code, because, sentence, as_json, tape, capfd):
    play = ["play", tape, "--port", "0", *flags, *as_json, "--", sys.executable, "-c", bot]
    found, last, report = run(capfd, *play)
    assert found == code
    assert last.startswith(sentence) if sentence else not last.startswith("tickdeck:")
    if as_json:
        assert (report["kind"], report["failed_because"]) == ("report", because)


def test_of_a_play_to_which_nobody_came(tape, capfd):
    code, last, report = run(capfd, "play", tape, "--port", "0", "--once", "--wait", "1ms", "--json")
    assert (code, last) == (Exit.DIFFERENT, "tickdeck: no client came within 1 ms")
    assert report["failed_because"] == "no_client"


def test_of_a_play_that_was_late(tape, capfd, monkeypatch):
    late = playing.Player.report
    monkeypatch.setattr(
        playing.Player,
        "report",
        lambda self: {**late(self), "lateness": {**late(self)["lateness"], "p99_ns": 10**9}},
    )
    play = ["play", tape, "--port", "0", "--json", "--max-lateness", "1ms", "--", sys.executable, "-c", ASKS]
    code, last, report = run(capfd, *play)
    assert code == Exit.DIFFERENT
    assert last.startswith("tickdeck: the tape was late: p99 1.0 s, allowed are 1 ms")
    assert report["failed_because"] == "lateness"


@pytest.mark.parametrize(
    ("bot", "code", "because", "sentence"),
    [
        ("pass", Exit.DIFFERENT, "no_request", "tickdeck: the command never reached the recorder"),
        (f"{ASKS}; raise SystemExit(7)", 7, "command", "tickdeck: the command ended with 7"),
        (ASKS, Exit.FINE, None, ""),
    ],
)
def test_of_a_recording(bot, code, because, sentence, tape, tmp_path, capfd):
    with MockServer(tape, speed="max") as vendor:
        upstream = ["--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url]
        record = ["record", "-o", tmp_path / "x.cassette", *upstream, "--json"]
        found, last, report = run(capfd, *record, "--", sys.executable, "-c", bot)
    assert found == code
    assert last.startswith(sentence)
    assert (report["kind"], report["failed_because"]) == ("report", because)


def test_of_a_check(tape, damaged, tmp_path, capfd):
    code, last, report = run(capfd, "verify", tape, damaged, "--json")
    assert (code, last) == (Exit.BAD_CASSETTE, "tickdeck: not sound: damaged.cassette")
    assert report["failed_because"] == "damage"
    code, last, report = run(capfd, "recover", damaged, "-o", tmp_path / "saved.cassette", "--json")
    assert (code, last[:28]) == (Exit.BAD_CASSETTE, "tickdeck: something is lost;")
    assert report["failed_because"] == "loss"


def test_of_an_audit(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("MASSIVE_API_KEY", "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry")
    lines, made = tmp_path / "lines", tmp_path / "x.cassette"
    lines.write_text(json.dumps({"payload": "x Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"}))
    cli.main(["pack", str(lines), "-o", str(made)])
    capfd.readouterr()
    code, last, report = run(capfd, "audit", made, "--json")
    assert code == Exit.DIFFERENT
    assert last.startswith("tickdeck: ")
    assert report["failed_because"] == "findings"


def test_of_what_is_fine_there_is_nothing_to_say(tape, capfd):
    for verb in ("verify", "audit"):
        code, last, report = run(capfd, verb, tape, "--json")
        assert (code, last, report["failed_because"]) == (Exit.FINE, "", None)


def test_of_an_interruption(monkeypatch, capfd):
    def interrupted(**_flags):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.deck.get_command(None, "doctor"), "callback", interrupted)
    code, last, _ = run(capfd, "doctor")
    assert (code, last) == (Exit.CUT_SHORT, "tickdeck: interrupted before the work was done")
