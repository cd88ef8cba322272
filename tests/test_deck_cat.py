"""`tickdeck cat` and `tickdeck pack`: a cassette as lines, and back."""

import io
import json
import subprocess
import sys

import pytest

from tickdeck import cli
from tickdeck.cassette.files import open_cassette, verify_file
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import sample

BY_HAND = """\
{"payload": [{"ev": "T", "sym": "MSFT", "p": 114.170}]}
{"at": 1.5, "from": "client", "payload": {"action": "auth", "params": "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"}}
{"url": "/v1/marketstatus/now", "body": {"market": "open"}}
"""


@pytest.fixture(scope="module")
def cassette(tmp_path_factory):
    path = tmp_path_factory.mktemp("cat") / "sample.cassette"
    make_cassette(path, *sample(7), replace=False)
    return path


@pytest.fixture
def stdin(monkeypatch):
    def give(text):
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def cat(capsys, *arguments):
    assert cli.main(["cat", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def rows(text):
    return [json.loads(line) for line in text.splitlines()[1:]]


def test_packing_what_was_printed_gives_the_same_lines_and_the_same_bytes(cassette, tmp_path, capsys):
    lines = tmp_path / "lines.jsonl"
    lines.write_text(cat(capsys, cassette))
    once, again = tmp_path / "once.cassette", tmp_path / "again.cassette"
    for output in (once, again):
        assert cli.main(["pack", str(lines), "-o", str(output)]) == 0
    capsys.readouterr()
    assert cat(capsys, once) == lines.read_text()
    assert once.read_bytes() == again.read_bytes()
    assert verify_file(once).ok


def test_one_line_a_record(cassette, capsys):
    with open_cassette(cassette) as opened:
        assert len(rows(cat(capsys, cassette))) == opened.survey.records


def test_a_channel_chooses_frames_and_events(cassette, capsys):
    frames = rows(cat(capsys, cassette, "--channel", "T.BRK.B"))
    assert frames
    assert all("T.BRK.B" in row["channels"] for row in frames)
    events = rows(cat(capsys, cassette, "--channel", "T.BRK.B,Q.BRK.B", "--events"))
    assert {row["channel"] for row in events} == {"T.BRK.B", "Q.BRK.B"}


def test_a_kind_and_a_time_choose_records(cassette, capsys):
    assert [row["kind"] for row in rows(cat(capsys, cassette, "--kind", "gap", "--kind", "closed"))] == [
        "closed",
        "gap",
        "closed",
    ]
    late = rows(cat(capsys, cassette, "--from", "60s", "--to", "2020-01-02T14:31:01Z"))
    assert {row["offset_ns"] // 10**9 for row in late} == {60}


def test_a_few_lines_by_hand_are_a_cassette(stdin, tmp_path, capsys):
    output = tmp_path / "hand.cassette"
    stdin(BY_HAND)
    assert cli.main(["pack", "-o", str(output)]) == 0
    assert "hand.cassette: 4 records" in capsys.readouterr().err
    with open_cassette(output) as packed:
        first, second = (track for track in packed.records() if hasattr(track, "payload"))
        assert first.payload == b'[{"ev":"T","sym":"MSFT","p":114.170}]'
        assert second.payload == b'{"action":"auth","params":"REDACTED-1"}'
        assert packed.header.source == "synthetic"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"payload": []}\n{"kind": "blah"}\n', 'line 2: kind "blah" is unknown'),
        ("hello\n", "line 1: this is no JSON"),
        (b"\xff\n", "line 1: this is no UTF-8"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named_and_leaves_nothing_behind(
    stdin, tmp_path, capsys, text, sentence
):
    stdin(text)
    assert cli.main(["pack", "-o", str(tmp_path / "x.cassette")]) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_cassette_is_replaced_only_when_asked_and_only_by_a_whole_one(stdin, tmp_path, capsys):
    output = tmp_path / "x.cassette"
    output.write_bytes(b"precious")
    stdin(BY_HAND)
    assert cli.main(["pack", "-o", str(output)]) == 2
    stdin("hello\n")
    assert cli.main(["pack", "-f", "-o", str(output)]) == 2
    assert output.read_bytes() == b"precious"
    stdin(BY_HAND)
    assert cli.main(["pack", "-f", "-o", str(output)]) == 0
    assert verify_file(output).ok


def test_a_reader_that_has_read_enough_is_no_reason_to_complain(cassette):
    command = [sys.executable, "-m", "tickdeck", "cat", str(cassette)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (130, b"")
