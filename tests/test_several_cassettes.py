"""Several cassettes behind one server: what a client is sent, and when on the market's clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.request import Request, urlopen

import pytest
import xxhash
from websockets.sync.client import ClientConnection, connect

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Header, Record
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.server import Player

MONDAY_NS = 1_577_975_400_000_000_000
DAY_NS = 24 * 3600 * 10**9
MILLISECOND = 1_000_000

Keep: TypeAlias = Callable[..., Path]


@pytest.fixture
def keep(tmp_path: Path, letters: Any) -> Iterator[Keep]:
    """Records as a file: sealed, or (``seal=False``) left as a recorder that is still at work has it."""
    at_work: list[Recording] = []

    def kept(name: str, records: Sequence[Record], *, epoch_ns: int = MONDAY_NS, seal: bool = True) -> Path:
        path = tmp_path / name
        recording = Recording.create(path, Header(epoch_ns), redactor=letters.door())
        recording.append(records)
        if seal:
            recording.seal()
        else:
            at_work.append(recording)
        return path

    yield kept
    for recording in at_work:
        recording.abandon()


def talk(story: Any, symbols: str) -> list[Record]:
    """A subscription, and a trade of each symbol a millisecond apart; a REST answer on the side."""
    first = type(story)()
    first.opens(0, 0)
    first.answers(1, "https://api.polygon.io/v2/last", symbols.encode())
    first.acks(0, 5 * MILLISECOND, "T.*")
    for number, symbol in enumerate(symbols, start=6):
        first.trades(0, number * MILLISECOND, symbol)
    return list(first.records)


def trades(symbols: str) -> list[str]:
    return [
        f'[{{"ev":"T","sym":"{symbol}","t":{number * MILLISECOND}}}]'
        for number, symbol in enumerate(symbols, start=6)
    ]


def digest(frames: Sequence[str]) -> str:
    wire = b"".join(bytes((0x81, len(frame))) + frame.encode() for frame in frames)
    return str(xxhash.xxh3_128(wire).hexdigest())


@contextmanager
def listener(market: PlainMarket) -> Iterator[ClientConnection]:
    with connect(market.ws_url + "/stocks", compression=None) as bot:
        bot.send(json.dumps({"action": "auth", "params": "any"}))
        bot.send(json.dumps({"action": "subscribe", "params": "T.*"}))
        for _ in range(3):
            bot.recv(10)
        yield bot


def played(
    paths: str | Path | Sequence[str | Path], count: int, **options: Any
) -> tuple[list[str], PlainMarket]:
    """What a client of T.* is sent of it, and the market with its report."""
    with MockServer(paths, **{"speed": "max"} | options) as market, listener(market) as bot:
        frames = [str(bot.recv(10)) for _ in range(count)]
        market.wait_finished()
        (row,) = market.report()["clients"]  # type: ignore[misc]
    assert row["digest"] == digest(frames)
    return frames, market


@pytest.mark.parametrize("chain", ["back-to-back", "wall"])
def test_two_tapes_are_sent_as_the_one_and_then_the_other(keep: Keep, story: Any, chain: str) -> None:
    monday = keep("monday.cassette", talk(story, "ABC"))
    tuesday = keep("tuesday.cassette", talk(story, "CD"), epoch_ns=MONDAY_NS + DAY_NS)
    frames, market = played([monday, tuesday], 5, chain=chain)
    assert frames == trades("ABC") + trades("CD")
    (finished,) = [entry for entry in market.journal if entry.kind == "finished"]
    ends = {"back-to-back": 3 * MILLISECOND + 1 + 2 * MILLISECOND, "wall": DAY_NS + 2 * MILLISECOND}
    assert finished.position_ns == ends[chain]
    gaps = [entry.parts["reason"] for entry in market.journal if entry.kind == "gap"]
    assert gaps == ["nothing was recorded between monday.cassette and tuesday.cassette"] * (chain == "wall")


def test_at_a_pace_the_second_follows_the_first_at_once(keep: Keep, story: Any) -> None:
    monday = keep("monday.cassette", talk(story, "ABC"))
    tuesday = keep("tuesday.cassette", talk(story, "CD"), epoch_ns=MONDAY_NS + DAY_NS)
    assert played([monday, tuesday], 5, speed=1)[0] == trades("ABC") + trades("CD")


def test_market_time_is_that_of_the_part_that_plays(keep: Keep, story: Any, tmp_path: Path) -> None:
    keep("1.cassette", talk(story, "ABC"))
    keep("2.cassette", talk(story, "CD"), epoch_ns=MONDAY_NS + DAY_NS)
    with open_cassettes([tmp_path / "*.cassette"]) as both:
        player = Player(both)
        assert player.stage.teller.market_time(0) == "2020-01-02T14:30:00.005000Z"
        assert player.stage.teller.market_time(3 * MILLISECOND) == "2020-01-02T14:30:00.008000Z"
        assert player.stage.teller.market_time(4 * MILLISECOND + 1) == "2020-01-03T14:30:00.006000Z"


def test_a_recording_cut_in_two_is_the_recording(keep: Keep, story: Any) -> None:
    records = talk(story, "ABCDE")
    whole = keep("whole.cassette", records)
    keep("part-1.cassette", records[:5])
    keep("part-2.cassette", records[5:], seal=False)
    took = [played(path, 5) for path in (whole, str(whole.with_name("part-*.cassette")))]
    assert [frames for frames, _ in took] == [trades("ABCDE")] * 2
    for _, market in took:
        (finished,) = [entry for entry in market.journal if entry.kind == "finished"]
        assert finished.position_ns == 5 * MILLISECOND


def test_the_shelf_is_in_the_order_of_the_cassettes(keep: Keep, story: Any) -> None:
    monday = keep("monday.cassette", talk(story, "ABC"))
    tuesday = keep("tuesday.cassette", talk(story, "CD"), epoch_ns=MONDAY_NS + DAY_NS)

    def asked(market: PlainMarket) -> bytes:
        request = Request(f"{market.http_url}/v2/last", headers={"Authorization": "Bearer any"})
        with urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    with MockServer([tuesday, monday], speed="max") as market:
        assert [asked(market) for _ in range(3)] == [b"CD", b"ABC", b"ABC"]
    with MockServer([monday, tuesday], speed=1) as market:
        assert asked(market) == b"ABC"
        with listener(market) as bot:
            assert [bot.recv(10) for _ in range(5)][-1] == trades("CD")[-1]
            assert asked(market) == b"CD"


def test_a_track_that_was_open_holds_nothing_in_the_next_cassette(keep: Keep, story: Any) -> None:
    """Else the first, which holds T.*, would go on to own what the second was sent."""
    one = keep("one.cassette", talk(story, "ABC"))
    frames, market = played([one, one], 6)
    assert frames == trades("ABC") * 2
    assert not [entry for entry in market.journal if entry.kind == "gap"]


async def test_an_asyncio_program_opens_several_too(keep: Keep, story: Any) -> None:
    one = keep("one.cassette", talk(story, "ABC"))
    async with MockServer([one, one], chain="back-to-back") as market:
        assert market.port


def test_what_cannot_be_one_tape_is_said(keep: Keep, story: Any) -> None:
    one = keep("one.cassette", talk(story, "ABC"))
    with pytest.raises(UsageError, match="chain is none of back-to-back, wall: 'tight'"):
        MockServer([one], chain="tight")
    with pytest.raises(UsageError, match="no cassette was given"), MockServer([]):
        pass
    with (
        pytest.raises(UsageError, match=r"begins 0\.008 s before one\.cassette ends"),
        MockServer([one, one], chain="wall"),
    ):
        pass
