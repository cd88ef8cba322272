"""`tickdeck record` as a process, with a tickdeck that plays as the vendor."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from tickdeck import cli
from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse
from tickdeck.mockserver.harness import MockServer
from tickdeck.record_words import RecordWords
from tickdeck.recorder.options import Options
from tickdeck.recording import TURN_S, record_options, take_turns

TICKDECK = (sys.executable, "-m", "tickdeck")
KEY = "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"
VARIABLES = ("MASSIVE_API_KEY", "POLYGON_API_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY")

FLAGS = {
    "output": "x.cassette",
    "listen": None,
    "upstream_http": None,
    "upstream_ws": None,
    "subscribe": (),
    "gets": (),
    "market": None,
    "feed": "socket",
    "for_ns": None,
    "until": None,
    "secret_names": (),
    "note": "",
    "trust_env": False,
    "metrics": None,
    "strict_hosts": False,
    "rotations": (),
    "ring_ns": None,
    "force": False,
    "append": False,
    "sync_ns": 10**9,
    "only": (),
}


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


@pytest.fixture
def vendor(tape):
    with MockServer(tape, speed="max", reject_keys=["bad"]) as server:
        yield server


def environment(**changes):
    return {name: value for name, value in os.environ.items() if name not in VARIABLES} | changes


def arguments(vendor, output, *more):
    upstream = ("--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url)
    return [*TICKDECK, "record", "-o", str(output), *upstream, *more]


def record(vendor, output, *more, **variables):
    return subprocess.run(
        arguments(vendor, output, *more),
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_proxy_records_until_a_signal_and_seals(vendor, tmp_path):
    output = tmp_path / "day.cassette"
    with subprocess.Popen(
        arguments(vendor, output, "--listen", ":0", "--json"),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        listening = json.loads(process.stdout.readline())
        url = f"{listening['http']}/v1/marketstatus/now?apiKey={KEY}"
        assert json.load(urllib.request.urlopen(url, timeout=10))["market"] == "open"
        process.send_signal(signal.SIGINT)
        rest = lines_of(process.communicate(timeout=30)[0])
    assert process.returncode == 0
    assert rest[-1]["kind"] == "report"
    assert (rest[-1]["sealed"], rest[-1]["interactions"]) == (True, 1)
    assert KEY.encode() not in output.read_bytes()
    with open_cassette(output) as cassette:
        (interaction,) = cassette.interactions()
    assert interaction.url == f"{vendor.http_url}/v1/marketstatus/now?apiKey=REDACTED-1"


def test_a_client_says_what_it_takes_and_what_it_got(vendor, tmp_path):
    output = tmp_path / "day.cassette"
    subscribe = ("--subscribe", "T.AAPL,Q.AAPL", "--get", "/v1/marketstatus/now", "--for", "1s")
    done = record(vendor, output, *subscribe, "--take-connection", MASSIVE_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    for words in (
        "any other of this key is dropped",
        "GET /v1/marketstatus/now: 200",
        "stocks: the key was taken",
        "subscribed to T.AAPL",
        "day.cassette: sealed, ",
    ):
        assert words in done.stderr
    assert KEY not in done.stderr + done.stdout
    with open_cassette(output) as cassette:
        assert set(cassette.survey.tracks[0].channels) == {"T.AAPL", "Q.AAPL"}


def test_it_says_when_it_will_end(capsys):
    seven = 1_577_991_600 * 10**9  # 2020-01-02 19:00 UTC
    with RecordWords(Options(output="x.cassette", until_wall_ns=seven)):
        pass
    assert capsys.readouterr().err == "recording until 2020-01-02 14:00:00.000 EST\n"


def test_nobodys_connection_is_taken_unasked(vendor, tmp_path):
    done = record(vendor, tmp_path / "x.cassette", "--subscribe", "T.AAPL", MASSIVE_API_KEY=KEY)
    assert done.returncode == 2
    assert "--take-connection goes ahead" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 130), (b"y\n", 0)])
def test_on_a_terminal_it_asks_first_and_shows_how_far_it_has_come(vendor, tmp_path, answer, code):
    import pty

    output = tmp_path / "x.cassette"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        arguments(vendor, output, "--subscribe", "T.AAPL", "--for", "1200ms"),
        env=environment(MASSIVE_API_KEY=KEY, TERM="xterm"),
        stdin=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, answer)
        said = read_terminal(ours)
    assert process.returncode == code
    assert "go ahead? [y/N]" in said
    assert output.exists() == ("Ctrl-C seals" in said) == (code == 0)


def read_terminal(descriptor):
    said = b""
    try:
        while piece := os.read(descriptor, 65536):
            said += piece
    except OSError:  # what a terminal says when its other end is gone
        pass
    finally:
        os.close(descriptor)
    return said.decode()


def test_a_refused_key_is_exit_code_4(vendor, tmp_path):
    done = record(
        vendor, tmp_path / "x.cassette", "--subscribe", "T.AAPL", "--take-connection", MASSIVE_API_KEY="bad"
    )
    assert done.returncode == 4
    assert "tickdeck: " in done.stderr


def test_no_event_at_all_is_exit_code_1(vendor, tmp_path):
    subscribe = ("--subscribe", "T.NEVER", "--for", "300ms", "--take-connection")
    done = record(vendor, tmp_path / "x.cassette", *subscribe, MASSIVE_API_KEY=KEY)
    assert done.returncode == 1
    assert "; no events came" in done.stderr


def test_an_unreachable_upstream_is_one_sentence_and_exit_code_4(tmp_path):
    output = tmp_path / "x.cassette"
    done = subprocess.run(
        [*TICKDECK, "record", "-o", output, "--upstream-http", "http://127.0.0.1:1", "--get", "/x"],
        env=environment(POLYGON_API_KEY=KEY),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == f"{output}: nothing was recorded"
    assert done.stderr.splitlines()[1].startswith("tickdeck: could not reach http://127.0.0.1:1")
    assert not output.exists()


def test_an_existing_output_is_exit_code_2(vendor, tape):
    done = record(vendor, tape, "--for", "1s")
    assert done.returncode == 2
    assert "glimpse.cassette exists already" in done.stderr


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"listen": ":0", "subscribe": ("T.AAPL",)}, "choose one"),
        ({"market": "crypto"}, "--market goes with --subscribe"),
        ({"subscribe": ("T.AAPL",)}, "a client needs an API key"),
        ({"listen": "nowhere"}, "is no address"),
        ({"until": "tea"}, "is no time of day"),
        ({"secret_names": ("NOT_SET_ANYWHERE",)}, "there is no such variable"),
    ],
)
def test_flags_that_do_not_fit_are_named(monkeypatch, given, sentence):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=sentence):
        record_options(FLAGS | given)


def test_the_first_key_of_the_environment_is_used_and_all_of_them_are_redacted(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POLYGON_API_KEY", "second")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "never-sent")
    options = record_options(FLAGS | {"gets": ("/x",)})
    assert (options.key, options.secrets) == ("second", ("second", "never-sent"))


def test_a_key_is_no_flag(capsys):
    assert cli.main(["record", "--help"]) == 0
    assert "--key" not in capsys.readouterr().out


def test_a_thread_that_packs_chunks_lets_frames_pass_soon() -> None:
    before = sys.getswitchinterval()
    try:
        take_turns()
        assert sys.getswitchinterval() == pytest.approx(TURN_S)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_recorder_that_was_stopped_and_goes_on_says_so_and_loses_nothing(vendor, tmp_path):
    output = tmp_path / "day.cassette"
    with subprocess.Popen(
        arguments(vendor, output, "--listen", ":0", "--json"),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        url = f"{json.loads(process.stdout.readline())['http']}/v1/marketstatus/now?apiKey={KEY}"
        urllib.request.urlopen(url, timeout=10).read()
        process.send_signal(signal.SIGSTOP)
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            nobody.settimeout(4.5)  # a wait that nothing ends: it has to stand still for some seconds
            with pytest.raises(TimeoutError):
                nobody.accept()
        process.send_signal(signal.SIGCONT)
        line = next(line for line in map(json.loads, process.stdout) if line["kind"] == "stood_still")
        assert line["seconds"] >= 3
        urllib.request.urlopen(url, timeout=10).read()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    with open_cassette(output) as cassette:
        assert len(list(cassette.interactions())) == 2
        assert cassette.survey.anchors >= 2
