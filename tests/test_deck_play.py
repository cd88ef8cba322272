"""`tickdeck play` as a process: what it prints, what ends it, and its exit code."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from tickdeck import cli
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse
from tickdeck.mockserver.options import options_of
from tickdeck.play_words import PlayWords

TICKDECK = (sys.executable, "-m", "tickdeck")

SUBSCRIBER = """
import asyncio, os, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.ws_connect(os.environ["POLYGON_WS_URL"]) as socket:
        await socket.send_json({"action": "auth", "params": "any"})
        await socket.send_json({"action": "subscribe", "params": "T.AAPL,T.NEVER"})
        async for message in socket:
            pass
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def cassette(tmp_path_factory):
    path = tmp_path_factory.mktemp("play") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


def play(cassette, *arguments):
    done = subprocess.run(
        [*TICKDECK, "play", cassette, "--port", "0", *arguments], capture_output=True, text=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"kind"')]
    return done, lines


def running(cassette, *arguments):
    return subprocess.Popen(
        [*TICKDECK, "play", cassette, "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_command_beside_it_sees_the_tape_and_each_happening_is_a_line(cassette):
    done, lines = play(
        cassette, "--speed", "max", "--at-end", "close", "--json", "--", sys.executable, "-c", SUBSCRIBER
    )
    assert done.returncode == 0, done.stderr
    kinds = [line["kind"] for line in lines]
    assert kinds[:4] == ["listening", "connected", "authenticated", "subscribed"]
    assert kinds[-1] == "report"
    assert {"started", "left"} <= set(kinds)
    assert all(line["v"] == 1 and line["time"].endswith("Z") for line in lines)
    subscribed = next(line for line in lines if line["kind"] == "subscribed")
    assert subscribed["unrecorded"] == ["T.NEVER"]
    (client,) = lines[-1]["clients"]
    assert client["channels"]["T.AAPL"]["sent"] == client["channels"]["T.AAPL"]["on_tape"] > 0


def test_in_words_it_says_where_to_go_and_what_happened(cassette):
    done, _ = play(cassette, "--speed", "max", "--at-end", "close", "--", sys.executable, "-c", SUBSCRIBER)
    assert done.returncode == 0
    assert done.stdout == ""
    for words in (
        "playing glimpse.cassette: synthetic",
        "from massive import WebSocketClient",
        "new WebSocket(",
        "curl -H 'Authorization: Bearer any'",
        "client 1 authenticated",
        "never recorded: T.NEVER",
        "timeline 1 started at 2020-01-02 09:30:54",
        "client 1 left: code 1000, by the server",
        "digest",
    ):
        assert words in done.stderr


def test_the_lines_to_paste_show_no_key_where_only_some_are_let_in(cassette):
    done, _ = play(cassette, "--speed", "max", "--reject-key", "any", "--", sys.executable, "-c", "")
    assert "Bearer YOUR_KEY" in done.stderr
    assert 'WebSocketClient("YOUR_KEY"' in done.stderr
    assert "auth YOUR_KEY" in done.stderr


def test_the_lines_to_paste_work_as_they_are(cassette, tmp_path):
    command = [*TICKDECK, "play", cassette, "--port", "0", "--speed", "max", "--at-end", "close"]
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        shown = list(
            iter(
                process.stderr.readline, "the tape starts with the first subscription; Ctrl-C ends the run\n"
            )
        )
        python, curl = (
            next(line for line in shown if line.startswith(f"    {name} ")) for name in ("python", "curl")
        )
        printed = [
            subprocess.run(
                ["bash", "-c", line], env=os.environ | {"PATH": path}, capture_output=True, timeout=30
            ).stdout
            for line in (python, curl)
        ]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert printed[0].startswith(b"[EquityQuote(")
    assert json.loads(printed[1])["market"] == "open"


def test_a_pattern_is_played_as_one_tape(cassette, tmp_path):
    for name in ("1.cassette", "2.cassette"):
        (tmp_path / name).write_bytes(cassette.read_bytes())
    flags = ("--speed", "max", "--at-end", "close", "--json", "--", sys.executable, "-c", SUBSCRIBER)
    _, (*_, once) = play(cassette, *flags)
    done, (*_, twice) = play(tmp_path / "*.cassette", *flags)
    assert done.returncode == 0, done.stderr
    sent = [report["clients"][0]["channels"]["T.AAPL"]["sent"] for report in (once, twice)]
    assert sent[1] == 2 * sent[0] > 0


def test_what_cannot_be_one_tape_is_one_sentence(cassette, tmp_path):
    done, _ = play(cassette, cassette, "--chain", "wall")
    assert done.returncode == 2
    assert done.stderr.startswith("tickdeck: glimpse.cassette begins ")
    done, _ = play(tmp_path / "*.cassette")
    assert done.stderr == f"tickdeck: no cassette matches {tmp_path}/*.cassette\n"


@pytest.mark.parametrize("code", [0, 7])
def test_the_commands_exit_code_is_ours(cassette, code):
    done, _ = play(cassette, "--", sys.executable, "-c", f"raise SystemExit({code})")
    assert done.returncode == code


def test_a_request_that_was_never_recorded_fails_the_run(cassette):
    done, lines = play(
        cassette, "--json", "--", "sh", "-c", 'curl -so /dev/null "$TICKDECK_HTTP/v3/nothing?apiKey=any"'
    )
    assert done.returncode == 5
    assert [line["kind"] for line in lines] == ["listening", "miss", "report"]
    assert "no recording of GET /v3/nothing" in lines[1]["sentence"]


def test_unless_that_is_allowed(cassette):
    request = 'curl -so /dev/null "$TICKDECK_HTTP/v3/nothing?apiKey=any"'
    done, _ = play(cassette, "--allow-unmatched", "--", "sh", "-c", request)
    assert done.returncode == 0


def test_a_command_that_cannot_be_started_is_one_sentence(cassette):
    done, _ = play(cassette, "--json", "--", "no-such-bot")
    assert done.returncode == 2
    assert done.stderr == "tickdeck: cannot start no-such-bot: no such file or directory\n"


def test_nobody_came(cassette):
    done, _ = play(cassette, "--json", "--once", "--wait", "50ms")
    assert done.returncode == 1
    assert done.stderr == "tickdeck: no client came within 50 ms\n"


@pytest.mark.parametrize("at_end", ["hold", "close"])
def test_once_ends_when_the_tape_was_read(cassette, at_end):
    with running(cassette, "--once", "--speed", "max", "--at-end", at_end) as process:
        listening = json.loads(process.stdout.readline())
        environment = os.environ | {"POLYGON_WS_URL": f"{listening['ws']}/stocks"}
        subprocess.run([sys.executable, "-c", SUBSCRIBER], env=environment, timeout=30, check=True)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert json.loads(rest.splitlines()[-1])["kind"] == "report"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_how_it_normally_ends(cassette, number):
    with running(cassette) as process:
        listening = json.loads(process.stdout.readline())
        url = f"{listening['http']}/v1/marketstatus/now?apiKey=any"
        assert json.load(urllib.request.urlopen(url, timeout=10))["market"] == "open"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert [json.loads(line)["kind"] for line in rest.splitlines()] == ["request", "report"]


def test_a_signal_is_passed_on_to_the_command(cassette):
    waiting = "import signal, sys; signal.signal(15, lambda *_: sys.exit(9)); print('up', flush=True); signal.pause()"
    with running(cassette, "--", sys.executable, "-c", waiting) as process:
        assert json.loads(process.stdout.readline())["kind"] == "listening"
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 9


def test_a_reader_of_lines_may_leave(cassette):
    with running(cassette) as process:
        listening = json.loads(process.stdout.readline())
        process.stdout.close()
        url = f"{listening['http']}/v1/marketstatus/now?apiKey=any"
        for _ in range(3):
            assert urllib.request.urlopen(url, timeout=10).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_taken_port_is_one_sentence(cassette, capsys):
    with running(cassette) as process:
        port = json.loads(process.stdout.readline())["http"].rpartition(":")[2]
        assert cli.main(["play", str(cassette), "--port", port, "--once", "--wait", "1s"]) == 2
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err


CLIENT = """
import json, os, sys
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
with connect(os.environ["POLYGON_WS_URL"], compression=None) as socket:
    socket.send(json.dumps({"action": "auth", "params": sys.argv[2] if len(sys.argv) > 2 else "any"}))
    socket.send(json.dumps({"action": "subscribe", "params": "T.A"}))
    heard = []
    try:
        while len(heard) < int(sys.argv[1]):
            heard += [event["t"] for event in json.loads(socket.recv(20)) if event["ev"] == "T"]
    except ConnectionClosed:
        heard.append(socket.close_code)
    print(*heard)
"""
"""Says which trades of A it heard, by their times, up to so many or to the code of the close."""


@pytest.fixture
def seconds(make, story, tmp_path):
    """Trades of A at 0, 1, 2, 12 and 13 s, an outage from 2.5 to 12 s; the zero is 09:30:00 in New York."""
    second = 10**9
    story.opens(0, 0)
    for at in (0, 1, 2):
        story.trades(0, at * second, "A")
    story.closes(0, 2 * second + second // 2)
    story.opens(1, 11 * second)
    for at in (12, 13):
        story.trades(1, at * second, "A")
    story.answers(0, "/v1/now", b'{"recorded":true}')
    make(story.records).close()
    return tmp_path / "0.cassette"


def heard(seconds, *flags, count=100, key="any"):
    """The seconds of the trades that a client was sent, and the lines of the run."""
    arguments = ("--json", *flags, "--", sys.executable, "-c", CLIENT, str(count), key)
    done, lines = play(seconds, *arguments)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert len(said) == 1, (done.stdout, done.stderr)
    words = said[0]
    return [int(word) // 10**9 or int(word) for word in words.split()], lines


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), [0, 1, 2, 12, 13]),
        (("--from", "+1s"), [1, 2, 12, 13]),
        (("--from", "09:30:02"), [2, 12, 13]),
        (("--from", "2020-01-02T14:30:11Z"), [12, 13]),
        (("--to", "+1s"), [0]),
        (("--to", "09:30:02.5"), [0, 1, 2]),
        (("--from", "1s", "--to", "2020-01-02T09:30:13-05:00"), [1, 2, 12]),
    ],
)
def test_a_window_is_played_and_no_more(seconds, flags, expected):
    played, _ = heard(seconds, "--speed", "max", "--at-end", "close", *flags)
    assert played == [*expected, 1000]


def test_long_stretches_are_cut_short(seconds):
    played, lines = heard(seconds, "--idle-cap", "10ms", "--settle", "0s", "--at-end", "close")
    assert played == [0, 1, 2, 12, 13, 1000]
    gap = next(line for line in lines if line["kind"] == "gap")
    assert gap["market_time"] == "2020-01-02T14:30:02.500000Z"
    assert lines[-1]["lateness"]["early"] == 0


def test_an_outage_can_be_skipped(seconds):
    flags = ("--gaps", "skip", "--from", "+2.4s", "--speed", "100", "--at-end", "close")
    played, lines = heard(seconds, *flags)
    assert played == [12, 13, 1000]
    assert [line["length_ns"] for line in lines if line["kind"] == "gap"] == [9_500_000_000]


def test_an_outage_can_cost_the_connection(seconds):
    played, lines = heard(seconds, "--gaps", "disconnect", "--speed", "100")
    assert played == [0, 1, 2, 1006]
    assert next(line for line in lines if line["kind"] == "left")["by"] == "server"


def test_a_tape_can_begin_anew_at_its_end(seconds):
    played, lines = heard(seconds, "--at-end", "loop", "--to", "+3s", "--speed", "100", count=7)
    assert played == [0, 1, 2, 0, 1, 2, 0]
    assert [line["lap"] for line in lines if line["kind"] == "looped"][:2] == [2, 3]
    assert lines[-1]["lateness"]["early"] == 0


@pytest.mark.parametrize("speed", ["step", "lockstep"])
def test_lockstep_moves_by_itself_and_step_by_the_control_alone(seconds, speed):
    count = 0 if speed == "step" else 5
    played, lines = heard(seconds, "--speed", speed, "--settle", "0s", count=count)
    assert played == [0, 1, 2, 12, 13][:count]
    assert lines[-1]["missteps"] == 0


def two_clients(seconds, *flags):
    """What two clients of different keys were sent while both were connected, and the lines."""
    both = (
        "import os, subprocess, sys; children = [subprocess.Popen([sys.executable, '-c', sys.argv[1], '3', key], "
        "stdout=subprocess.PIPE) for key in ('one', 'two')]; said = [child.communicate()[0] for child in children]; "
        "os.write(1, b''.join(said)); sys.exit(any(child.returncode for child in children))"
    )
    flags = ("--json", "--speed", "10", *flags, "--", sys.executable, "-c", both, CLIENT)
    done, lines = play(seconds, *flags)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("{")], lines


def test_a_shared_timeline_can_wait_for_all_its_clients(seconds):
    played, lines = two_clients(seconds, "--timeline", "shared", "--start-on", "clients:2")
    assert played == ["0 1000000000 2000000000"] * 2
    assert [line["timeline"] for line in lines if line["kind"] == "started"] == [1]


def test_by_default_each_key_has_a_timeline(seconds):
    played, lines = two_clients(seconds)
    assert played == ["0 1000000000 2000000000"] * 2
    assert sorted(line["timeline"] for line in lines if line["kind"] == "started") == [1, 2]


TWO_SOCKETS = """
import json, os
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
def come():
    socket = connect(os.environ["POLYGON_WS_URL"], compression=None)
    socket.send('{"action": "auth", "params": "any"}')
    return socket, [json.loads(socket.recv(20))[0]["status"] for _ in range(2)]
first, _ = come()
second, _ = come()
try:
    while True:
        said = json.loads(first.recv(20))[0]["status"]
except ConnectionClosed:
    print(said, first.close_code)
second.close()
"""


def test_one_connection_too_many_ends_the_eldest(seconds):
    done, lines = play(seconds, "--json", "--max-connections", "1", "--", sys.executable, "-c", TWO_SOCKETS)
    assert done.returncode == 0, done.stderr
    assert "max_connections 1008\n" in done.stdout
    assert [line["client"] for line in lines if line["kind"] == "evicted"] == [1]


def test_a_run_that_was_too_late_is_one_sentence(seconds):
    client = ("--", sys.executable, "-c", CLIENT, "2")
    done, _ = play(seconds, "--json", "--max-lateness", "0.000001ms", "--settle", "0s", *client)
    assert done.returncode == 1
    assert done.stderr.startswith("tickdeck: the tape was late: p99 ")
    assert done.stderr.endswith("this machine was too slow, or too busy, for this speed\n")
    done, _ = play(seconds, "--json", "--max-lateness", "1h", *client)
    assert done.returncode == 0


def test_an_answer_can_be_laid_over_the_cassette(seconds, tmp_path):
    (tmp_path / "closed.json").write_text('{"recorded":false}')
    request = ("--", "sh", "-c", 'curl -s "$TICKDECK_HTTP/v1/now?apiKey=any"; echo')
    done, lines = play(seconds, "--json", "--stub", f"GET /v1/now={tmp_path}/closed.json", *request)
    assert '{"recorded":false}' in done.stdout
    assert lines[-1]["requests"]["stubbed"] == 1
    assert lines[-1]["unused_stubs"] == []
    done, _ = play(seconds, "--stub", f"GET /v1/later={tmp_path}/closed.json", *request)
    assert "an answer was laid over GET /v1/later, and nobody asked it" in done.stderr
    done, _ = play(seconds, "--json", *request)
    assert '{"recorded":true}' in done.stdout


ASKS_FOR_MORE = ("--", "sh", "-c", 'curl -s "$TICKDECK_HTTP/v1/now?apiKey=any&cursor=AbC123"; echo')


def test_a_surplus_parameter_is_a_miss_with_the_flag_that_leaves_it_aside(seconds):
    done, _ = play(seconds, *ASKS_FOR_MORE)
    assert done.returncode == 5
    (flag,) = set(re.findall(r"to leave it aside: (--ignore \S+)$", done.stderr, re.M))
    done, _ = play(seconds, *flag.split(), *ASKS_FOR_MORE)
    assert done.returncode == 0
    assert '{"recorded":true}' in done.stdout


def test_what_is_left_aside_can_stand_in_the_settings(seconds, tmp_path, monkeypatch):
    (tmp_path / "tickdeck.toml").write_text('[play]\nignore = ["query:c*", "json:$.id"]\n')
    monkeypatch.chdir(tmp_path)
    done, _ = play(seconds, *ASKS_FOR_MORE)
    assert done.returncode == 0, done.stderr


def test_a_whole_answer_with_its_fields_is_laid_over_the_cassette_so_many_times(seconds, tmp_path):
    busy = tmp_path / "a=busy.http"
    busy.write_text("HTTP/1.1 429 Too Many Requests\nRetry-After: 7\n\nbusy\n")
    asks = 'for i in 1 2 3; do curl -si "$TICKDECK_HTTP/v1/now?apiKey=any"; echo; done'
    done, lines = play(seconds, "--json", "--stub", f"GET /v1/now x2={busy}", "--", "sh", "-c", asks)
    assert done.stdout.count("HTTP/1.1 429 Too Many Requests") == 2
    assert done.stdout.count("Retry-After: 7") == 2
    assert '{"recorded":true}' in done.stdout
    assert lines[-1]["requests"]["stubbed"] == 2


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--speed", "fast"), "speed is neither a factor nor max, step or lockstep: 'fast'"),
        (("--speed", "0"), "speed must be above zero, not '0'"),
        (
            ("--from", "soon"),
            "from: 'soon' is no place on a tape; write +90s, 09:31:05 or 2020-01-02T14:30:05Z",
        ),
        (("--to", "25:00"), "to: '25:00' is no time of day; write 09:31:05"),
        (("--from", "+1h"), "there is no tape to play from +3600s to its end at +13s"),
        (("--from", "+2s", "--to", "+1s"), "there is no tape to play from +2s to +1s"),
        (("--start-on", "clients:0"), "start on clients:N wants a number of clients from 1 up, not '0'"),
        (
            ("--start-on", "clients:2", "--timeline", "connection"),
            (
                "start on clients:2 never comes about with timeline connection, where each has one of its own; "
                "share it with timeline key or shared"
            ),
        ),
        (
            ("--start-on", "nothing"),
            (
                "start on is none of connect, auth, subscribe, control, nor clients:N, "
                "nor channels like T.AAPL: 'nothing'"
            ),
        ),
        (("--idle-cap", "0s"), "idle cap must be above zero; speed max waits for nothing"),
        (("--stub", "open.json"), "--stub wants 'GET /path=FILE', not 'open.json'"),
        (
            ("--stub", "GET /v1/now=none.json"),
            "the stub for GET /v1/now cannot be read: none.json: no such file or directory",
        ),
        (("--feed", "delayed"), "no track of stocks came from the feed delayed; recorded: socket"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(seconds, capsys, flags, sentence):
    assert cli.main(["play", str(seconds), "--port", "0", "--once", "--wait", "1s", *flags]) == 2
    assert capsys.readouterr().err == f"tickdeck: {sentence}\n"


@pytest.mark.parametrize(
    "flags",
    [
        ("--gaps", "fill"),
        ("--timeline", "mine"),
        ("--at-end", "again"),
        ("--slow-client", "kill"),
        ("--max-connections", "0"),
        ("--idle-cap", "long"),
        ("--max-lateness", "late"),
    ],
)
def test_a_flag_with_a_word_that_it_does_not_know_is_named(seconds, capsys, flags):
    assert cli.main(["play", str(seconds), *flags]) == 2
    said = capsys.readouterr().err
    assert flags[0] in said
    assert flags[1] in said


def test_once_and_a_loop_are_refused_together(capsys):
    assert cli.main(["play", "any.cassette", "--once", "--at-end", "loop"]) == 2
    assert "a tape that loops has none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"verb": "stub", "request": "GET /x", "laid": True}, "the control: stub GET /x"),
        ({"verb": "drop", "code": 1013, "reason": "later", "only": None}, "the control: drop 1013"),
        ({"verb": "send", "sent": 2}, "the control: send"),
        ({"verb": "step", "timeline": 1, "frames": 3, "duration_ns": None}, "timeline 1: step 3 frames"),
        ({"verb": "burst", "timeline": 2, "frames": None, "duration_ns": 10**9}, "timeline 2: burst 1.0 s"),
    ],
)
def test_what_the_control_is_told_is_said_in_words(cassette, capsys, line, words):
    with open_cassette(cassette) as opened:
        PlayWords(opened, options_of()).tell({"kind": "control", **line})
    assert capsys.readouterr().err.strip() == words


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "GET /g: 200"),
        ({"variant": "made without range"}, "GET /g: 200 (a variant, made without range)"),
        (
            {"variant": "made without range", "trouble": "no"},
            "GET /g: 200 (a variant, made without range; no)",
        ),
    ],
)
def test_how_a_request_was_answered_is_said_in_words(cassette, capsys, parts, words):
    with open_cassette(cassette) as opened:
        line = {"kind": "request", "method": "GET", "url": "/g", "status": 200, **parts}
        PlayWords(opened, options_of()).tell(line)
    assert capsys.readouterr().err.strip() == words


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("clients:2", "when 2 clients hold a subscription"),
        ("control", "when the control says resume"),
        ("T.A,Q.A", "when T.A, Q.A are held"),
    ],
)
def test_the_start_line_says_what_is_waited_for(cassette, gate, words):
    done, _ = play(cassette, "--start-on", gate, "--", sys.executable, "-c", "")
    assert f"the tape starts {words}" in done.stderr


def test_a_run_moved_in_time_is_kept_too(cassette, tmp_path):
    run = tmp_path / "run.cassette"
    done, _ = play(cassette, "--time-shift", "today", "--journal", str(run), "--", sys.executable, "-c", "")
    assert (done.returncode, run.exists()) == (0, True)
