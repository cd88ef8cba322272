"""`tickdeck cut`: a piece that plays, of which every byte is as it was; and `info`, which suggests one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tickdeck import MockServer, cli, open_cassette
from tickdeck.cassette.cutting import Kept, Piece, cut
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.records import Frame, Header, Record, Sender
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.cassette.writer import encode_cassette
from tickdeck.dialects import find
from tickdeck.dialects.synth import market, market_header, sample

INDEXER = find("polygon").indexer
RECORDS = list(sample(7)[1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "whole.cassette"
    make_cassette(path, *sample(7), replace=False)
    return path


def run(*arguments: object) -> int:
    return cli.main(["cut", *map(str, arguments)])


def events_of(records: list[Record]) -> list[tuple[int, str, bytes]]:
    """Each event of the market: its frame's sequence, its channel, its bytes."""
    return [
        (record.seq, event.channel, record.payload[event.start : event.end])
        for record in records
        if isinstance(record, Frame) and record.sender is Sender.SERVER
        for event in INDEXER.events(record.payload) or ()
        if event.channel
    ]


def played(path: Path, *channels: str) -> list[Any]:
    """What a client of the tape gets."""
    found: list[Any] = []
    with (
        MockServer(path, speed="max", at_end="close") as server,
        connect(f"{server.ws_url}/stocks", max_queue=None) as socket,
    ):
        socket.send('{"action":"auth","params":"k"}')
        socket.send(json.dumps({"action": "subscribe", "params": ",".join(channels)}))
        try:
            while True:
                found += [each for each in json.loads(socket.recv(timeout=20)) if each["ev"] != "status"]
        except ConnectionClosed:
            return found


def test_a_stretch_of_a_channel_plays_as_that_stretch_of_the_whole(whole: Path, tmp_path: Path) -> None:
    piece = tmp_path / "piece.cassette"
    assert run(whole, "-o", piece, "--from", "09:30:10", "--to", "09:30:20", "--channel", "T.AAPL") == 0
    with open_cassette(whole) as cassette:
        begin, end = (cassette.offset_of((1_577_975_410 + at) * 10**9) for at in (0, 10))
        wanted = {each.seq for each in cassette.records() if begin <= each.offset_ns < end}
        expected = [
            each for each in events_of(list(cassette.records())) if each[0] in wanted and each[1] == "T.AAPL"
        ]
    with open_cassette(piece) as cassette:
        assert events_of(list(cassette.records())) == expected != []
        assert cassette.header.note.endswith("cut of whole.cassette: from 09:30:10 to 09:30:20 T.AAPL")
        assert cassette.survey.profile
    assert piece.stat().st_size < whole.stat().st_size / 5
    assert [json.loads(event) for _, _, event in expected] == played(piece, "T.AAPL")


@given(
    window=st.tuples(st.integers(0, 62 * 10**9), st.integers(0, 62 * 10**9)).map(sorted),
    channels=st.none()
    | st.sets(st.sampled_from(["T.AAPL", "Q.AAPL", "T.*", "AM.*"]), min_size=1).map(frozenset),
    tracks=st.none() | st.sets(st.integers(0, 3), min_size=1).map(frozenset),
    interactions=st.none() | st.sets(st.integers(0, 12)).map(frozenset),
)
@settings(max_examples=60)
def test_any_piece_is_sound_and_holds_just_what_was_wanted(
    window: list[int], channels: Any, tracks: Any, interactions: Any
) -> None:
    piece, kept = Piece(*window, channels, tracks, interactions), Kept()
    found = list(cut(RECORDS, piece, INDEXER, kept))
    encode_cassette(Header(0), found, indexer=INDEXER, redactor=Redactor(NO_PLACES))  # sequences rise
    assert kept.records == len(found)
    begins = {each.seq: each for each in RECORDS}
    expected = [
        each
        for each in events_of(RECORDS)
        if window[0] <= begins[each[0]].offset_ns < window[1]
        and piece.wants_channel(each[1])
        and piece.wants_track(begins[each[0]].track)  # type: ignore[union-attr]  # they are frames
    ]
    assert events_of(found) == expected
    assert kept.events == len(expected)
    assert all(each.offset_ns >= window[0] for each in found)
    said = [each.payload for each in RECORDS if isinstance(each, Frame) and _is_talk(each, piece)]
    assert [each.payload for each in found if isinstance(each, Frame) and _is_talk(each, piece)] == said


def _is_talk(frame: Frame, piece: Piece) -> bool:
    """What a client said before the piece ends: it stays whatever is cut."""
    return (
        frame.sender is Sender.CLIENT
        and frame.opcode == 1
        and piece.wants_track(frame.track)
        and (frame.offset_ns < piece.to_ns or frame.offset_ns == piece.from_ns)
    )


def test_answers_are_chosen_by_number_by_request_all_or_none(
    whole: Path, tmp_path: Path, capsys: Any
) -> None:
    with open_cassette(whole) as cassette:
        asked = [
            (each.interaction, f"{each.method} /{each.url.split('/', 3)[3]}")
            for each in cassette.interactions()
        ]

    def chosen(*words: str) -> list[int]:
        assert run(whole, "-o", tmp_path / "x.cassette", "-f", "--to", "+1s", *words) == 0
        with open_cassette(tmp_path / "x.cassette") as piece:
            return [each.interaction for each in piece.interactions()]

    assert chosen("--interaction", "all") == [number for number, _ in asked]
    assert chosen("--interaction", "none") == []
    assert chosen("--interaction", "3", "--interaction", asked[5][1]) == [3, asked[5][0]]
    path = asked[5][1].partition("?")[0]
    assert chosen("--interaction", path) == [
        number for number, words in asked if words.partition("?")[0] == path
    ]
    assert set(chosen()) < {number for number, _ in asked}
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--channel", "T.ZZZZ"], "T.ZZZZ is not on whole.cassette; tickdeck info lists what is"),
        (["--channel", "AAPL"], "a channel is a topic and a symbol, as T.MSFT or AM.*, not 'AAPL'"),
        (["--track", "99"], "there is no track 99 on whole.cassette; there are 1, 2"),
        (["--interaction", "999"], "no interaction of whole.cassette is '999'"),
        (
            ["--interaction", "what"],
            "--interaction takes a number, a request such as 'GET",
        ),
        (["--from", "+20s", "--to", "+10s"], "the stretch is empty"),
        (["--from", "soon"], "from: 'soon' is no place on a tape"),
        (["--level", "23"], "23 is not in the range"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_and_leaves_nothing(
    whole: Path, tmp_path: Path, words: list[str], sentence: str, capsys: Any
) -> None:
    assert run(whole, "-o", tmp_path / "x.cassette", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_there_stays_unless_forced(whole: Path, tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "x.cassette"
    output.write_bytes(b"precious")
    assert run(whole, "-o", output) == 2
    assert output.read_bytes() == b"precious"
    assert run(whole, "-o", output, "-f", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "cut"
    assert told["size"] == output.stat().st_size
    with open_cassette(whole) as before, open_cassette(output) as after:
        assert list(after.records()) == list(before.records())
        assert told["events"] == sum(
            each.events for track in before.survey.tracks.values() for each in track.channels.values()
        )


def test_a_higher_level_makes_a_smaller_file_of_the_same_records(whole: Path, tmp_path: Path) -> None:
    for level in (0, 1, 19):
        assert run(whole, "-o", tmp_path / f"{level}.cassette", "--level", level) == 0
    sizes = [(tmp_path / f"{level}.cassette").stat().st_size for level in (19, 1, 0)]
    assert sizes == sorted(sizes)
    digests = set()
    for path in tmp_path.iterdir():
        with open_cassette(path) as cassette:
            digests.add(cassette.digest)
    assert len(digests) == 1


def test_a_damaged_cassette_gives_no_piece(whole: Path, tmp_path: Path, capsys: Any) -> None:
    damaged = tmp_path / "damaged.cassette"
    shutil.copy(whole, damaged)
    raw = bytearray(damaged.read_bytes())
    raw[len(raw) // 3] ^= 1
    damaged.write_bytes(raw)
    assert run(damaged, "-o", tmp_path / "x.cassette", "--channel", "T.AAPL") == 3
    assert "damaged" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["damaged.cassette"]


def test_the_page_of_a_large_cassette_suggests_a_piece(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "large.cassette"
    make_cassette(
        path, market_header(7), market(7, symbols=30, seconds=20, rate=9_000), replace=False, level=0
    )
    assert path.stat().st_size > 5 << 20
    assert cli.main(["info", str(path)]) == 0
    page = capsys.readouterr().out
    [suggested] = [line for line in page.splitlines() if line.startswith("smaller: ")]
    channel = suggested.split(" --channel ")[1].split()[0]
    assert f"{channel} alone" in page
    assert run(path, "-o", tmp_path / "piece.cassette", "--channel", channel) == 0
    assert (tmp_path / "piece.cassette").stat().st_size < path.stat().st_size / 10
