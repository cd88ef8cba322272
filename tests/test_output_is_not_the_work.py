"""Whatever becomes of stdout and stderr, a recording and a play go on, and the exit code is the work's."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from tickdeck import cli
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse
from tickdeck.exits import Exit
from tickdeck.mockserver.harness import MockServer

TICKDECK = (sys.executable, "-m", "tickdeck")
PATH = "/v1/marketstatus/now?apiKey=any"
FULL = "/dev/full"

pytestmark = pytest.mark.skipif(not os.path.exists(FULL), reason="this system has no /dev/full")


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    path = tmp_path_factory.mktemp("output") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


@pytest.fixture
def vendor(tape):
    with MockServer(tape, speed="max") as server:
        yield server


def recording(vendor, output, *more):
    upstream = ("--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url)
    return [*TICKDECK, "record", "-o", str(output), "--listen", "127.0.0.1:0", *upstream, *more]


def get(base):
    with urllib.request.urlopen(base + PATH, timeout=10) as answer:
        return answer.read()


def listening_on(read_line):
    """The address in the first JSON line that has one."""
    while True:
        line = json.loads(read_line())
        if line["kind"] == "listening":
            return line["http"]


class Terminal:
    """Of our own: ``screen`` is read here, a program writes to ``end``."""

    def __init__(self):
        ours, self.end = os.openpty()
        self.screen = os.fdopen(ours)

    def hang_up(self):
        """From here on whoever writes to it gets EIO."""
        os.close(self.end)
        self.screen.close()


def test_a_recording_goes_on_when_its_terminal_closes(vendor, tmp_path):
    output, terminal = tmp_path / "day.cassette", Terminal()
    with subprocess.Popen(
        recording(vendor, output, "--json"), stdout=terminal.end, stderr=subprocess.PIPE, text=True
    ) as process:
        base = listening_on(terminal.screen.readline)
        terminal.hang_up()
        said = process.stderr.readline()
        get(base)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)[1]
    assert said == "tickdeck: cannot write to standard output: input/output error; the recording goes on\n"
    assert (process.returncode, rest) == (0, "")
    with open_cassette(output) as cassette:
        assert len(list(cassette.interactions())) == 1


def test_the_live_line_of_a_terminal_that_closes_ends_no_recording(vendor, tmp_path):
    output, terminal = tmp_path / "day.cassette", Terminal()
    with subprocess.Popen(recording(vendor, output), stderr=terminal.end) as process:
        said = next(line for line in terminal.screen if "  REST " in line)
        terminal.hang_up()
        get(said.split()[-1])
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with open_cassette(output) as cassette:
        assert len(list(cassette.interactions())) == 1


def test_a_recording_goes_on_where_nothing_can_be_printed(vendor, tmp_path):
    output = tmp_path / "day.cassette"
    bot = f"import os, urllib.request as r; r.urlopen(os.environ['TICKDECK_HTTP'] + {PATH!r}).read()"
    with open(FULL, "w") as full:
        done = subprocess.run(
            recording(vendor, output, "--json", "--", sys.executable, "-c", bot),
            stdout=full,
            stderr=full,
            timeout=60,
        )
    assert done.returncode == 0
    with open_cassette(output) as cassette:
        assert cassette.sealed


@pytest.mark.parametrize(
    ("as_json", "closed"),
    [("--json", ">&-"), ("", "2>&-"), ("--json", "<&- >&- 2>&-"), ("", ">/dev/full 2>/dev/full")],
)
def test_a_play_without_its_streams_has_the_exit_code_of_its_work(as_json, closed, tape, tmp_path):
    bot = "import os, urllib.request as r; r.urlopen(os.environ['TICKDECK_HTTP'] + '/v1/nothing?apiKey=any')"
    journal = tmp_path / "run.cassette"
    (tmp_path / "bot.py").write_text(f"try:\n    {bot}\nexcept OSError:\n    pass\n")
    script = (
        f'exec "{sys.executable}" -m tickdeck play "{tape}" --port 0 {as_json} --journal "{journal}" '
        f'-- "{sys.executable}" "{tmp_path}/bot.py" {closed}'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60)
    assert done.returncode == Exit.UNMATCHED
    with open_cassette(journal) as kept:  # no line lies in the middle of it
        assert kept.sealed


@pytest.mark.parametrize("verb", [["info"], ["info", "--json"], ["cat"], ["verify"], ["audit"]])
@pytest.mark.parametrize("stream", ["full", "closed"])
def test_a_verb_whose_work_is_its_output_fails_without_it(verb, stream, tape, monkeypatch, capsys):
    with open(FULL, "w") as full:
        monkeypatch.setattr(sys, "stdout", full if stream == "full" else None)
        assert cli.main([*verb, str(tape)]) == Exit.STORAGE
    said = capsys.readouterr().err
    assert said.startswith("tickdeck: cannot write to standard output: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("stream", ["full", "closed"])
def test_a_verb_that_makes_a_file_has_made_it(stream, tape, tmp_path, monkeypatch, capsys):
    with open(FULL, "w") as full:
        monkeypatch.setattr(sys, "stdout", full if stream == "full" else None)
        made = tmp_path / "piece.cassette"
        assert cli.main(["cut", str(tape), "-o", str(made), "--channel", "T.*"]) == Exit.FINE
    assert made.exists()
    assert "; the cassette is made\n" in capsys.readouterr().err


def test_an_error_that_cannot_be_said_keeps_its_exit_code(monkeypatch):
    with open(FULL, "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert cli.main(["info", "nothing-here.cassette"]) == Exit.USAGE


def test_the_interpreter_has_nothing_to_add_at_its_end(tape):
    with open(FULL, "w") as full:
        done = subprocess.run(
            [*TICKDECK, "info", tape], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == Exit.STORAGE
    assert done.stderr == "tickdeck: cannot write to standard output: no space left on device\n"


def test_letters_that_an_encoding_lacks_are_escapes(tape, monkeypatch, tmp_path):
    with open(tmp_path / "out", "w+", encoding="ascii") as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        assert cli.main(["info", "--json", str(tape)]) == Exit.FINE
        assert cli.main(["doctor"]) in (Exit.FINE, Exit.DIFFERENT)
        narrow.seek(0)
        assert json.loads(narrow.readline())["kind"] == "info"
