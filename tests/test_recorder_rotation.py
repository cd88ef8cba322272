"""A recording in segments: nothing lost or told twice at the borders, each readable alone, and all as one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import click
import pytest

from tickdeck import MockServer
from tickdeck.cassette.errors import FormatError, StorageError, UsageError
from tickdeck.cassette.files import open_cassette, open_cassettes, verify_file
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import TEXT, Frame, Header, Interaction, Profile, Record, Sender, TrackOpened
from tickdeck.cassette.redaction import Redactor
from tickdeck.dialects import find
from tickdeck.dialects.synth import glimpse
from tickdeck.recorder.capture import Capture, Message, Opening
from tickdeck.recorder.continuing import before
from tickdeck.recorder.rotation import Limits, Rotation
from tickdeck.values import span

TICKDECK = (sys.executable, "-m", "tickdeck")
SECOND = 10**9


class Deck:
    """A capture and its rotation, at times that are handed in."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.redactor = Redactor(find("polygon").places)
        self.header = Header(0)
        self.capture = Capture(start_ns=0, learner=find("polygon").learner)
        self.removed: list[str] = []
        self.rotation = Rotation(
            folder / "day.cassette", limits, begin=self._begin, removes=self._remove, now_ns=0
        )

    def _begin(self, path: Path) -> Recording:
        return Recording.create(path, self.header, redactor=self.redactor, continues=True)

    def _remove(self, path: Path) -> None:
        self.removed.append(path.name)
        path.unlink()

    def take(self, records: list[Record], now_ns: int) -> None:
        self.rotation.append(records)
        if self.rotation.is_full(now_ns):
            self.rotation.turn(self.capture.opened_again(now_ns), now_ns)

    def open(self) -> int:
        record = self.capture.track_opened(0, Opening("stocks", "socket"))
        self.take([record], 0)
        return record.track

    def hear(self, track: int, text: str, now_ns: int) -> None:
        self.take(self.capture.frames(track, Sender.SERVER, [Message(now_ns, TEXT, text.encode())]), now_ns)


def trade(number: int) -> str:
    return f'[{{"ev":"T","sym":"A","q":{number}}}]'


def payloads(records) -> list[bytes]:
    return [record.payload for record in records if type(record) is Frame]


def test_segments_follow_each_other_without_a_hole_and_are_one_recording(tmp_path: Path) -> None:
    deck = Deck(tmp_path, Limits(span_ns=10 * SECOND))
    track = deck.open()
    deck.hear(track, '[{"ev":"status","status":"connected","message":"Connected Successfully"}]', 1)
    said = [trade(number) for number in range(35)]
    for number, text in enumerate(said):
        deck.hear(track, text, number * SECOND)
    deck.rotation.seal()
    names = ["day-0001.cassette", "day-0002.cassette", "day-0003.cassette", "day-0004.cassette"]
    assert deck.rotation.names == tuple(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert verify_file(tmp_path / name).findings == ()
        with open_cassette(tmp_path / name) as segment:
            first, *_ = segment.records()
            assert isinstance(first, TrackOpened)
            assert segment.survey.tracks[track].market == "stocks"
            assert segment.survey.profile["greeting"]
    with open_cassettes([tmp_path / "day-*.cassette"]) as whole:
        records = list(whole.records())
    assert payloads(records)[1:] == [text.encode() for text in said]
    assert [record.seq for record in records] == list(range(len(records)))
    assert sum(isinstance(record, Profile) for record in records) == len(names)


def test_a_segment_is_full_at_so_many_bytes(tmp_path: Path) -> None:
    deck = Deck(tmp_path, Limits(size=2000))
    track = deck.open()
    for number in range(200):
        deck.hear(track, trade(number), 0)
    deck.rotation.seal()
    assert len(deck.rotation.segments) > 3
    with open_cassettes([tmp_path / "day-*.cassette"]) as whole:
        assert deck.rotation.stats.records == len(list(whole.records()))
        assert payloads(whole.records()) == [trade(number).encode() for number in range(200)]


def test_time_alone_makes_no_empty_segment(tmp_path: Path) -> None:
    deck = Deck(tmp_path, Limits(span_ns=SECOND))
    assert not deck.rotation.is_full(100 * SECOND)
    deck.rotation.seal()
    assert deck.rotation.names == ("day-0001.cassette",)


def test_a_secret_has_one_placeholder_in_all_segments_and_is_counted_where_it_stood(tmp_path: Path) -> None:
    deck = Deck(tmp_path, Limits(span_ns=SECOND))
    key = "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"
    track = deck.open()
    for second in range(3):
        message = Message(second * SECOND, TEXT, json.dumps({"action": "auth", "params": key}).encode())
        deck.take(deck.capture.frames(track, Sender.CLIENT, [message]), second * SECOND)
    deck.rotation.seal()
    counts = []
    for name in deck.rotation.names:
        with open_cassette(tmp_path / name) as segment:
            counts.append(segment.survey.redactions)
            assert all(b"REDACTED-1" in payload for payload in payloads(segment.records()))
    assert sum(sum(places.values()) for each in counts for places in each.values()) == 3
    with open_cassettes([tmp_path / "day-*.cassette"]) as whole:
        assert whole.survey.redactions == {"REDACTED-1": {"message params": 3}}


def test_where_no_next_segment_can_be_the_last_one_goes_on(tmp_path: Path) -> None:
    deck = Deck(tmp_path, Limits(span_ns=SECOND))
    track = deck.open()
    deck.hear(track, trade(0), 0)
    (tmp_path / "day-0002.cassette").touch()
    with pytest.raises(
        StorageError, match=r"there can be no next segment: day-0002\.cassette exists already"
    ):
        deck.hear(track, trade(1), 2 * SECOND)
    deck.rotation.seal()
    with open_cassette(tmp_path / "day-0001.cassette") as segment:
        assert payloads(segment.records()) == [trade(0).encode(), trade(1).encode()]


def test_a_ring_holds_the_last_minutes_and_keeps_them_when_told(tmp_path: Path) -> None:
    deck = Deck(tmp_path, Limits(ring_ns=10 * SECOND))
    track = deck.open()
    for second in range(60):
        deck.hear(track, trade(second), second * SECOND)
    held = deck.rotation.names
    assert len(deck.removed) + len(held) == 60 // 2
    with open_cassettes([tmp_path / "day-*.cassette"]) as whole:
        heard = payloads(whole.records())
    assert heard[-1] == trade(59).encode()
    assert trade(50).encode() in heard
    assert trade(40).encode() not in heard
    deck.rotation.turn(deck.capture.opened_again(60 * SECOND), 60 * SECOND)
    kept = deck.rotation.keep()
    for second in range(60, 120):
        deck.hear(track, trade(second), second * SECOND)
    deck.rotation.seal()
    deck.rotation.drop()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    assert deck.rotation.keep() == ()


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    path = tmp_path_factory.mktemp("vendor") / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    with MockServer(path, speed="max", ignore="query:number") as server:
        yield server


def words(vendor, output, *flags, command=()):
    upstream = ("--upstream-http", vendor.http_url, "--upstream-ws", vendor.ws_url)
    return [*TICKDECK, "record", "-o", str(output), *upstream, *flags, *(("--", *command) if command else ())]


ASKS = """
import os, sys, urllib.request
for number in range(int(sys.argv[1])):
    url = os.environ["TICKDECK_HTTP"] + f"/v1/marketstatus/now?apiKey=any&number={number}"
    urllib.request.urlopen(url).read()
sys.exit(int(sys.argv[2]))
"""


def around(vendor, output, *flags, asks=12, code=0):
    command = (sys.executable, "-c", ASKS, str(asks), str(code))
    done = subprocess.run(
        words(vendor, output, *flags, command=command), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    return done


def numbers(paths) -> list[int]:
    with open_cassettes(paths) as whole:
        urls = [record.url for record in whole.records() if isinstance(record, Interaction)]
    return [int(url.rpartition("=")[2]) for url in urls]


def test_a_recorder_that_rotates_loses_no_answer_and_tells_none_twice(vendor, tmp_path):
    done = around(vendor, tmp_path / "day.cassette", "--rotate", "2KiB", "--json")
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["path"] == str(tmp_path / "day-*.cassette")
    assert report["segments"] == sorted(path.name for path in tmp_path.iterdir())
    assert len(report["segments"]) > 2
    assert numbers([tmp_path / "day-*.cassette"]) == list(range(12))
    playing = ("--port", "0", "--speed", "max", "--")
    played = subprocess.run(
        [
            *TICKDECK,
            "play",
            str(tmp_path / "day-*.cassette"),
            *playing,
            sys.executable,
            "-c",
            ASKS,
            "12",
            "0",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert played.returncode == 0, played.stderr
    assert "12 served" in played.stderr


@pytest.mark.parametrize(("code", "kept"), [(0, False), (3, True)])
def test_a_ring_around_a_command_is_kept_when_the_command_fails(vendor, tmp_path, code, kept):
    done = around(vendor, tmp_path / "day.cassette", "--ring", "5m", code=code)
    assert bool(list(tmp_path.iterdir())) is kept
    assert ("kept: day-0001.cassette" in done.stderr) is kept
    if kept:
        assert numbers([tmp_path / "day-*.cassette"]) == list(range(12))


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_a_ring_is_kept_at_a_signal_and_goes_on(vendor, tmp_path):
    flags = ("--ring", "1h", "--listen", ":0", "--json")
    with subprocess.Popen(
        words(vendor, tmp_path / "day.cassette", *flags), stdout=subprocess.PIPE, text=True
    ) as deck:
        listening = json.loads(deck.stdout.readline())
        url = f"{listening['http']}/v1/marketstatus/now?apiKey=any&number="
        urllib.request.urlopen(f"{url}0").read()
        os.kill(deck.pid, signal.SIGUSR1)
        line = next(line for line in map(json.loads, deck.stdout) if line["kind"] == "kept")
        assert line["segments"] == ["day-0001.cassette", "day-0002.cassette"]
        urllib.request.urlopen(f"{url}1").read()
        deck.send_signal(signal.SIGINT)
        deck.communicate(timeout=30)
    assert deck.returncode == 0
    assert numbers([tmp_path / "day-*.cassette"]) == [0, 1]


def keep(listening, method="POST"):
    request = urllib.request.Request(f"{listening['http']}/__tickdeck/keep", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


@pytest.mark.parametrize("ring", [True, False])
def test_a_ring_is_kept_when_the_control_says_so(vendor, tmp_path, ring):
    flags = (*(("--ring", "1h") if ring else ()), "--listen", ":0", "--json")
    with subprocess.Popen(
        words(vendor, tmp_path / "day.cassette", *flags), stdout=subprocess.PIPE, text=True
    ) as deck:
        listening = json.loads(deck.stdout.readline())
        urllib.request.urlopen(f"{listening['http']}/v1/marketstatus/now?apiKey=any&number=0").read()
        status, said = keep(listening)
        if ring:
            assert (status, said["segments"]) == (200, ["day-0001.cassette", "day-0002.cassette"])
        else:
            assert (status, "record with --ring" in said) == (409, True)
        assert keep(listening, "GET")[0] == 405
        deck.send_signal(signal.SIGINT)
        deck.communicate(timeout=30)
    assert numbers([tmp_path / "day*.cassette"]) == [0]


def test_an_existing_cassette_is_replaced_only_when_told_so_and_only_once_the_new_one_is_sealed(
    vendor, tmp_path
):
    output = tmp_path / "day.cassette"
    around(vendor, output, asks=1)
    before = output.read_bytes()
    command = (sys.executable, "-c", ASKS, "2", "0")
    done = subprocess.run(words(vendor, output, command=command), capture_output=True, text=True, timeout=60)
    assert (done.returncode, output.read_bytes()) == (2, before)
    assert "exists already" in done.stderr
    around(vendor, output, "-f", asks=2)
    assert numbers([output]) == [0, 1]


@pytest.mark.parametrize("text", ["1h", "90s", "1GiB", "500 MB", "2kib"])
def test_a_rotation_is_a_span_or_a_size(text):
    assert sum(part is not None for part in span(text)) == 1


@pytest.mark.parametrize("text", ["0", "0MB", "GiB", "-1h", "1.5GiB", "soon"])
def test_what_is_neither_is_named(text):
    with pytest.raises(click.BadParameter, match="neither a duration nor a size"):
        span(text)


def test_whatever_reads_takes_segments_as_one(vendor, tmp_path):
    around(vendor, tmp_path / "day.cassette", "--rotate", "2KiB")
    pattern, names = str(tmp_path / "day-*.cassette"), sorted(path.name for path in tmp_path.iterdir())

    def read(verb, *flags, code=0):
        done = subprocess.run([*TICKDECK, verb, pattern, *flags], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        return done.stdout

    info = json.loads(read("info", "--json"))
    assert (info["interactions"], info["segments"]) == (12, names)
    assert f"segments      {', '.join(names)}" in read("info")
    printed = [json.loads(line) for line in read("cat", "--kind", "interaction").splitlines()]
    assert [line["kind"] for line in printed] == ["cassette", *["interaction"] * 12]
    checked = [json.loads(line) for line in read("verify", "--json").splitlines()]
    assert [(line["name"], line["ok"]) for line in checked] == [(name, True) for name in names]
    assert [line.partition(":")[0] for line in read("audit").splitlines()] == names
    damaged = tmp_path / names[1]
    damaged.write_bytes(damaged.read_bytes()[:-30] + bytes(30))
    assert "sound" in read("verify", code=3)


def test_a_pattern_that_matches_nothing_is_a_usage_error(tmp_path):
    for verb in ("info", "cat", "verify", "audit"):
        done = subprocess.run(
            [*TICKDECK, verb, str(tmp_path / "day-*.cassette")], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, "no cassette matches" in done.stderr) == (2, True)


def test_a_recording_with_brackets_in_its_name_is_found_to_go_on(tmp_path):
    for name in ("runB-0009", "run[BRK-A]-0002"):
        make_cassette(
            tmp_path / f"{name}.cassette", Header(7), [TrackOpened(0, 0, 0, "stocks")], replace=False
        )
    found = before(tmp_path / "run[BRK-A].cassette")
    assert (found.segment, found.epoch_ns, found.tracks) == (2, 7, 1)


def test_a_recording_goes_on_in_a_further_segment_and_is_one_with_it(vendor, tmp_path):
    output, pattern = tmp_path / "day.cassette", tmp_path / "day*.cassette"
    around(vendor, output, asks=3)
    around(vendor, output, "--append", asks=2)
    around(vendor, output, "--append", "--rotate", "1KiB", asks=4)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:2] == ["day-0002.cassette", "day-0003.cassette"]
    assert names[-1] == "day.cassette"
    with open_cassettes([pattern]) as whole:
        records = list(whole.records())
        asked = [record for record in records if isinstance(record, Interaction)]
    assert [record.seq for record in records] == list(range(len(records)))
    assert [int(each.url.rpartition("=")[2]) for each in asked] == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    assert [each.interaction for each in asked] == list(range(9))
    assert [record.offset_ns for record in records] == sorted(record.offset_ns for record in records)
    assert len({verify_file(tmp_path / name).ok for name in names}) == 1
    assert [each.url.split("apiKey=")[1].split("&")[0] for each in asked] == [
        *["REDACTED-1"] * 3,
        *["REDACTED-2"] * 2,
        *["REDACTED-3"] * 4,
    ]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [(("--append",), "there is no day.cassette that could go on"), (("--append", "-f"), "choose one")],
)
def test_what_cannot_go_on_is_a_usage_error_and_leaves_nothing(vendor, tmp_path, flags, sentence):
    command = (sys.executable, "-c", ASKS, "1", "0")
    done = subprocess.run(
        words(vendor, tmp_path / "day.cassette", *flags, command=command),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, sentence in done.stderr, list(tmp_path.iterdir())) == (2, True, [])


def left(path, *offsets, seq=0):
    """What a recorder that was killed leaves, with so many records."""
    header = Header(7, note=path.name)
    recording = Recording.create(path, header, redactor=Redactor(find("polygon").places), continues=True)
    recording.append([TrackOpened(seq + at, offset, at, "stocks") for at, offset in enumerate(offsets)])
    return recording


def test_a_killed_recording_is_recovered_and_goes_on(vendor, tmp_path):
    output = tmp_path / "day.cassette"
    kills = ASKS.replace("sys.exit(", "os.kill(os.getppid(), ")
    subprocess.run(words(vendor, output, command=(sys.executable, "-c", kills, "3", "9")), timeout=60)
    assert not output.exists()
    done = around(vendor, output, "--append", asks=2)
    assert "day.cassette was never sealed: " in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day-0002.cassette", "day.cassette"]
    assert numbers([output, tmp_path / "day-0002.cassette"]) == [0, 1, 2, 0, 1]


def test_every_segment_that_was_not_sealed_is_recovered(tmp_path):
    make_cassette(tmp_path / "day.cassette", Header(7), [TrackOpened(0, 0, 0, "stocks")], replace=False)
    left(tmp_path / "day-0002.cassette", 5, seq=1).abandon()
    left(tmp_path / "day-0003.cassette", 6, 8, seq=2).abandon()
    found = before(tmp_path / "day.cassette")
    assert [(each.output, each.records) for each in found.recovered] == [
        ("day-0002.cassette", 1),
        ("day-0003.cassette", 2),
    ]
    assert (found.segment, found.next_seq, found.last_offset_ns) == (3, 4, 8)
    assert not any(path.name.endswith(".part") for path in tmp_path.iterdir())


def test_a_recording_at_work_does_not_go_on(tmp_path):
    at_work = left(tmp_path / "day.cassette", 1)
    with pytest.raises(UsageError, match=r"day.cassette.part is being recorded by another process"):
        before(tmp_path / "day.cassette")
    at_work.abandon()


@pytest.mark.parametrize("data", [b"", b"no cassette" * 99])
def test_what_is_no_recording_stays_as_it_is(tmp_path, data):
    part = tmp_path / "day.cassette.part"
    part.write_bytes(data)
    with pytest.raises(UsageError, match=r"there is no recording in day.cassette.part; move it away first"):
        before(tmp_path / "day.cassette")
    assert (list(tmp_path.iterdir()), part.read_bytes()) == ([part], data)


def test_a_damaged_recording_is_left_for_recover(tmp_path):
    part = tmp_path / "day.cassette.part"
    left(tmp_path / "day.cassette", *range(2000)).abandon()
    (rows,) = tmp_path.glob("*.w*")
    data = bytearray(rows.read_bytes())
    data[len(data) // 2] ^= 1
    rows.write_bytes(data)
    with pytest.raises(FormatError, match=r"day.cassette.part is damaged; `tickdeck recover"):
        before(tmp_path / "day.cassette")
    assert (sorted(tmp_path.iterdir()), rows.read_bytes()) == ([part, rows], data)


def test_another_recording_of_the_same_name_is_not_overlooked(tmp_path):
    make_cassette(tmp_path / "day.cassette", Header(8), [TrackOpened(0, 0, 0, "stocks")], replace=False)
    other = tmp_path / "other.cassette"
    left(other, 1).abandon()
    for path in list(tmp_path.glob("other*")):
        path.rename(path.with_name(path.name.replace("other", "day")))
    with pytest.raises(UsageError, match=r"day.cassette and day.cassette.part are both there"):
        before(tmp_path / "day.cassette")


def test_what_a_killed_recovery_left_is_removed(tmp_path):
    path = tmp_path / "day.cassette"
    left(path, 1).abandon()
    kept = {each: each.read_bytes() for each in tmp_path.iterdir()}
    before(path)
    for each, data in kept.items():
        each.write_bytes(data)
    assert before(path).recovered == ()
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_made_up_does_not_go_on(vendor, tmp_path):
    output = tmp_path / "day.cassette"
    make_cassette(output, *glimpse(7), replace=False)
    command = (sys.executable, "-c", ASKS, "1", "0")
    done = subprocess.run(
        words(vendor, output, "--append", command=command), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, "a recording cannot go on in it" in done.stderr) == (2, True)
