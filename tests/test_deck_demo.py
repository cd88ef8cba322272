"""`tickdeck demo`: the bot sees the same tape each time, and the demo notices when it does not."""

from dataclasses import replace

import pytest

from tickdeck import cli, demo, demo_table
from tickdeck.cassette.files import open_cassette, verify_file
from tickdeck.demo import Take
from tickdeck.demo_bot import Seen

SEEN = Seen(pages=3, bars=150, bars_digest="b", frames=9, events=20, tape_digest="t")
TAKE = Take("played", "10", took_ns=10**9, seen=SEEN, digest="d")


@pytest.mark.timeout(120)
def test_the_bot_sees_the_same_tape_at_every_speed(tmp_path, capsys):
    recording = tmp_path / "demo.cassette"
    assert cli.main(["demo", "-o", str(recording)]) == 0
    table = capsys.readouterr().out
    assert "the same tape 4 times" in table
    assert f"raw: {recording}" in table
    assert verify_file(recording).ok
    with open_cassette(recording) as cassette:
        assert cassette.header.program == "tickdeck demo"


@pytest.mark.parametrize(
    "other",
    [
        replace(TAKE, digest="another"),
        replace(TAKE, seen=replace(SEEN, tape_digest="another")),
        replace(TAKE, seen=replace(SEEN, bars_digest="another")),
    ],
)
def test_a_difference_is_noticed(other):
    assert demo.same([TAKE, TAKE])
    assert not demo.same([TAKE, other])


def test_a_difference_is_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "perform", lambda recording, say: [TAKE, replace(TAKE, digest="another")])
    monkeypatch.setattr(demo_table, "_weight", lambda recording: "")
    assert cli.main(["demo", "-o", str(tmp_path / "demo.cassette")]) == 1
    assert "did not see the same" in capsys.readouterr().out


def test_it_replaces_nothing(tmp_path, capsys):
    recording = tmp_path / "demo.cassette"
    recording.write_bytes(b"")
    assert cli.main(["demo", "-o", str(recording)]) == 2
    assert "exists already" in capsys.readouterr().err
