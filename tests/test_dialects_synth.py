from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import (
    PING,
    PONG,
    TEXT,
    Frame,
    Gap,
    Interaction,
    Profile,
    Record,
    Sender,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.dialects.prng import Prng
from tickdeck.dialects.synth import glimpse, market, market_header, page_2019, sample
from tickdeck.dialects.synth_feed import EPOCH_NS, Feed
from tickdeck.dialects.synth_rest import stored_gzip

SECOND = 1_000_000_000


def digest(records: Iterable[Record]) -> str:
    hashed = hashlib.sha256()
    for record in records:
        hashed.update(repr(record).encode())
    return hashed.hexdigest()


def server_frames(records: Iterable[Record]) -> list[Frame]:
    return [
        each
        for each in records
        if isinstance(each, Frame) and each.sender is Sender.SERVER and each.opcode == TEXT
    ]


def client_actions(records: Iterable[Record]) -> list[tuple[int, Any]]:
    return [
        (each.track, json.loads(each.payload))
        for each in records
        if isinstance(each, Frame) and each.sender is Sender.CLIENT and each.opcode == TEXT
    ]


def events(records: Iterable[Record]) -> Iterator[tuple[int, dict[str, Any]]]:
    for frame in server_frames(records):
        for event in json.loads(frame.payload, parse_float=Decimal):
            yield frame.offset_ns, event


def data(records: Iterable[Record]) -> list[tuple[int, dict[str, Any]]]:
    return [(at_ns, event) for at_ns, event in events(records) if event["ev"] != "status"]


def channel(event: dict[str, Any]) -> str:
    return f"{event['ev']}.{event.get('sym') or event['T']}"


SAMPLE = tuple(sample(7)[1])
GLIMPSE = tuple(glimpse(7)[1])
MARKET = tuple(market(7, symbols=40, seconds=3, rate=400))
STORIES = pytest.mark.parametrize("records", [SAMPLE, GLIMPSE, MARKET, page_2019()[1]])


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (SAMPLE, "7aa20925c908e548232b1b135bcb4d57a47b6e161c69f53454f8fad21e6dd5c2"),
        (GLIMPSE, "3901c2539a571f3ba04cd752fe58eb633b60f6b18a708b650c149ce17d34dc8d"),
        (MARKET, "ae585cd6b10fd8673d2d03919d4313ebcfd0cdf669fcbf51a9ff740496737b9d"),
    ],
    ids=["sample", "glimpse", "market"],
)
def test_a_seed_means_the_same_records_on_every_machine(records: Iterable[Record], expected: str) -> None:
    assert digest(records) == expected


def test_another_seed_means_other_records() -> None:
    assert digest(sample(8)[1]) != digest(SAMPLE)


@pytest.mark.parametrize("header", [sample(7)[0], glimpse(7)[0], market_header(7)])
def test_a_made_up_cassette_says_so(header: Any) -> None:
    assert header.source is Source.SYNTHETIC
    assert "synthetic" in header.note
    assert header.epoch_ns == EPOCH_NS


@STORIES
def test_sequences_count_and_time_never_runs_back(records: tuple[Record, ...]) -> None:
    assert [each.seq for each in records] == list(range(len(records)))
    written = [each.end_ns if isinstance(each, Interaction | Gap) else each.offset_ns for each in records]
    assert written == sorted(written)


@STORIES
def test_every_frame_of_the_server_is_a_compact_array_of_objects(records: tuple[Record, ...]) -> None:
    for frame in server_frames(records):
        parsed = json.loads(frame.payload)
        assert parsed
        assert all(isinstance(event["ev"], str) for event in parsed)
        assert len(frame.payload) < 1_000_000
        assert b'": ' not in frame.payload


@STORIES
def test_only_placeholders_stand_where_keys_stood(records: tuple[Record, ...]) -> None:
    assert {action["params"] for _, action in client_actions(records) if action["action"] == "auth"} == {
        "REDACTED-1"
    }
    text = repr(records)
    assert text.count("Bearer ") == text.count("Bearer REDACTED-")
    assert text.count("apiKey=") == text.count("apiKey=REDACTED-1")


@pytest.mark.parametrize("records", [SAMPLE, GLIMPSE, MARKET])
def test_data_comes_only_where_and_when_it_was_asked_for(records: tuple[Record, ...]) -> None:
    held: dict[int, set[str]] = {}
    for record in records:
        if not isinstance(record, Frame) or record.opcode != TEXT or record.sender is Sender.CLIENT:
            continue
        for event in json.loads(record.payload):
            mine = held.setdefault(record.track, set())
            if event["ev"] == "status":
                words = event["message"].split(" to: ")
                if words[0] == "subscribed":
                    mine.add(words[1])
                elif words[0] == "unsubscribed":
                    mine.remove(words[1])
            else:
                assert mine & {channel(event), f"{event['ev']}.*"}, event


@pytest.mark.parametrize("records", [SAMPLE, GLIMPSE, MARKET])
def test_an_event_happens_just_before_it_arrives_and_time_stands_or_goes_on(
    records: tuple[Record, ...],
) -> None:
    last_ms = 0
    for at_ns, event in data(records):
        if event["ev"] in "TQ":
            arrived_ms = (EPOCH_NS + at_ns) // 1_000_000
            assert 0 <= arrived_ms - event["t"] <= 8
            assert event["t"] >= last_ms
            last_ms = event["t"]


def test_numbers_of_a_stock_only_rise() -> None:
    for name in ("q", "i"):
        numbers: dict[str, int] = {}
        for _, event in data(MARKET):
            if event["ev"] == "T":
                assert int(event[name]) > numbers.get(event["sym"], 0)
                numbers[event["sym"]] = int(event[name])


def check_aggregates(records: Iterable[Record], topic: str, *, whole_day: bool) -> int:
    """Each aggregate against the trades that were sent; how many there were."""
    trades: dict[str, list[dict[str, Any]]] = {}
    found = 0
    for _, event in data(records):
        if event["ev"] == "T":
            trades.setdefault(event["sym"], []).append(event)
        if event["ev"] != topic:
            continue
        found += 1
        day = [each for each in trades[event["sym"]] if each["t"] < event["e"]]
        inside = [each for each in day if each["t"] >= event["s"]]
        prices = [each["p"] for each in inside]
        assert (event["o"], event["c"]) == (prices[0], prices[-1])
        assert (event["h"], event["l"]) == (max(prices), min(prices))
        assert event["v"] == sum(each["s"] for each in inside)
        assert event["z"] == max(1, event["v"] // len(inside))
        assert Decimal(event["dv"]) == sum(Decimal(each["ds"]) for each in inside)
        assert event["vw"] == average(inside)
        if whole_day:
            assert event["op"] == day[0]["p"]
            assert event["av"] == sum(each["s"] for each in day)
            assert Decimal(event["dav"]) == sum(Decimal(each["ds"]) for each in day)
            assert event["a"] == average(day)
    return found


def average(trades: list[dict[str, Any]]) -> Decimal:
    turnover = sum((each["p"] * Decimal(each["ds"]) for each in trades), Decimal())
    shares = sum((Decimal(each["ds"]) for each in trades), Decimal())
    return (turnover / shares).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def test_second_aggregates_add_up_the_trades() -> None:
    assert check_aggregates(MARKET, "A", whole_day=True) > 60


def test_minute_aggregates_add_up_the_trades() -> None:
    records = market(3, symbols=12, seconds=120, rate=20)
    assert check_aggregates(records, "AM", whole_day=True) > 15


@pytest.mark.parametrize("symbols", [1, 3, 500])
@pytest.mark.parametrize("rate", [1, 70, 1_000])
def test_every_second_of_a_market_has_the_rate_it_was_asked_for(symbols: int, rate: int) -> None:
    records = market(5, symbols=symbols, seconds=4, rate=rate)
    seconds = Counter(at_ns // SECOND for at_ns, _ in data(records))
    assert [seconds[number] for number in range(4)] == [rate] * 4
    assert set(seconds) <= {0, 1, 2, 3, 4}


@pytest.mark.parametrize("name", ["symbols", "seconds", "rate"])
def test_a_market_of_nothing_is_refused_at_once(name: str) -> None:
    with pytest.raises(UsageError, match=f"^a market needs at least 1 for {name}, not 0$"):
        market(1, **{name: 0})


def test_a_market_has_as_many_symbols_as_it_was_asked_for() -> None:
    symbols = [book.symbol for book in Feed(2_000, chance=Prng(1)).books]
    assert len(set(symbols)) == 2_000
    assert symbols[:5] == ["AAPL", "MSFT", "SPY", "TSLA", "BRK.B"]
    assert symbols[16] == "ZAAA"
    assert all(symbol.replace(".", "").isalpha() for symbol in symbols)


def test_a_market_streams() -> None:
    records = market(1, symbols=50, seconds=10_000, rate=1_000)
    list(itertools.islice(records, 600))
    tracemalloc.start()
    try:
        for _ in itertools.islice(records, 3_000):
            pass
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 64), st.integers(1, 40), st.integers(1, 3), st.integers(1, 200))
def test_any_market_is_sound(seed: int, symbols: int, seconds: int, rate: int) -> None:
    records = tuple(market(seed, symbols=symbols, seconds=seconds, rate=rate))
    check_aggregates(records, "A", whole_day=True)
    test_sequences_count_and_time_never_runs_back(records)
    assert isinstance(records[-1], TrackClosed)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 64))
def test_any_sample_is_sound(seed: int) -> None:
    for _, records in (sample(seed), glimpse(seed)):
        records = tuple(records)
        test_sequences_count_and_time_never_runs_back(records)
        test_data_comes_only_where_and_when_it_was_asked_for(records)
        test_an_event_happens_just_before_it_arrives_and_time_stands_or_goes_on(records)


def test_the_sample_has_every_kind_of_event() -> None:
    kinds = Counter(event["ev"] for _, event in events(SAMPLE))
    assert set(kinds) == {"status", "T", "Q", "A", "AM", "LULD"}
    assert "BRK.B" in {event.get("sym") for _, event in data(SAMPLE)}


def test_the_sample_has_frames_that_mix_topics_and_symbols() -> None:
    mixed = [
        frame
        for frame in server_frames(SAMPLE)
        if len({event["ev"] for event in json.loads(frame.payload)}) > 1
        and len({event.get("sym") for event in json.loads(frame.payload)}) > 1
    ]
    assert len(mixed) > 50


def test_the_sample_has_bursts_and_quiet_stretches() -> None:
    seconds = Counter(at_ns // SECOND for at_ns, _ in data(SAMPLE))
    assert max(seconds.values()) > 100
    assert [seconds[number] for number in (24, 25, 51)] == [0, 0, 0]


def test_the_sample_has_the_spellings_that_are_easily_lost() -> None:
    trades = [event for _, event in data(SAMPLE) if event["ev"] == "T"]
    assert any("." in event["ds"].removesuffix(".0") for event in trades)
    assert any(Decimal(event["ds"]) < 1 and event["s"] == 1 for event in trades)
    assert any("trfi" in event for event in trades)
    assert any("c" not in event for event in trades)
    assert all(len(str(event["t"])) == 19 for _, event in data(SAMPLE) if event["ev"] == "LULD")


def test_the_sample_loses_its_connection_and_comes_back() -> None:
    opened = [each for each in SAMPLE if isinstance(each, TrackOpened)]
    closed = [each for each in SAMPLE if isinstance(each, TrackClosed)]
    (gap,) = (each for each in SAMPLE if isinstance(each, Gap))
    assert [(each.track, each.code) for each in closed] == [(1, None), (2, 1000)]
    assert gap.offset_ns == closed[0].offset_ns < opened[1].offset_ns < gap.end_ns < closed[1].offset_ns
    assert not [at_ns for at_ns, _ in data(SAMPLE) if gap.offset_ns <= at_ns < gap.end_ns]


def test_the_client_of_the_sample_resubscribes_in_another_order() -> None:
    actions = client_actions(SAMPLE)
    assert [(track, action["action"]) for track, action in actions] == [
        *((1, name) for name in ("auth", "subscribe", "subscribe", "unsubscribe")),
        *((2, name) for name in ("auth", "subscribe")),
    ]
    first, more, less, again = (
        action["params"].split(",") for _, action in actions if action["action"] != "auth"
    )
    assert set(again) == {*first, *more} - {*less}
    assert again[: len(first)] != first


def test_every_ping_of_the_sample_has_its_pong() -> None:
    pings = [each for each in SAMPLE if isinstance(each, Frame) and each.opcode == PING]
    pongs = [each for each in SAMPLE if isinstance(each, Frame) and each.opcode == PONG]
    assert [(each.track, each.payload) for each in pings] == [(each.track, each.payload) for each in pongs]
    assert {each.sender for each in pings} == {Sender.CLIENT}
    assert len(pings) == 2


def answers(records: Iterable[Record]) -> list[tuple[Interaction, Any]]:
    made = []
    for each in records:
        if isinstance(each, Interaction):
            coded = (b"Content-Encoding", b"gzip") in each.response_headers
            made.append((each, json.loads(gzip.decompress(each.body) if coded else each.body)))
    return made


def test_the_sample_has_the_answers_a_bot_meets() -> None:
    statuses = Counter(each.status for each, _ in answers(SAMPLE))
    assert statuses == {200: 9, 401: 1, 404: 1, 429: 1}
    bodies = {each.status: body for each, body in answers(SAMPLE)}
    assert bodies[401]["error"] == "Unknown API Key"
    assert bodies[404]["message"] == "Ticker not found."
    assert bodies[429]["error"].startswith("You've exceeded the maximum requests per minute")


def test_pages_lead_to_the_next_one_without_a_key() -> None:
    made = answers(SAMPLE)
    leading = [body["next_url"] for _, body in made if "next_url" in body]
    asked = {each.url.removesuffix("&apiKey=REDACTED-1") for each, _ in made}
    assert len(leading) == 3
    assert set(leading) <= asked
    assert not any("apiKey" in address for address in leading)


def test_the_pages_of_minutes_are_one_series() -> None:
    bars = [
        bar for each, body in answers(SAMPLE) if "/v2/aggs/ticker/AAPL" in each.url for bar in body["results"]
    ]
    assert [bar["t"] for bar in bars] == [1_577_802_600_000 + 60_000 * number for number in range(150)]
    assert all(before["c"] == after["o"] for before, after in itertools.pairwise(bars))
    assert all(bar["l"] <= min(bar["o"], bar["c"], bar["vw"]) for bar in bars)
    assert all(bar["h"] >= max(bar["o"], bar["c"], bar["vw"]) for bar in bars)


def test_request_ids_and_lengths_agree_with_the_bodies() -> None:
    for each, body in answers(SAMPLE):
        headers = dict(each.response_headers)
        assert int(headers[b"Content-Length"]) == len(each.body)
        assert body.get("request_id", headers[b"X-Request-Id"].decode()) == headers[b"X-Request-Id"].decode()
        assert each.offset_ns < each.first_byte_ns < each.end_ns
        assert each.complete


def test_one_request_of_the_sample_has_two_answers() -> None:
    times = [body["serverTime"] for _, body in answers(SAMPLE) if "serverTime" in body]
    assert times == ["2020-01-02T09:30:00-05:00", "2020-01-02T09:30:50-05:00"]


def test_a_snapshot_shows_the_stock_as_it_stood() -> None:
    each, body = next((each, body) for each, body in answers(SAMPLE) if each.url.endswith("tickers/AAPL"))
    before = [event for at_ns, event in data(SAMPLE) if at_ns < 20 * SECOND and channel(event) == "T.AAPL"]
    assert body["ticker"]["lastTrade"]["p"] == float(before[-1]["p"])
    assert body["ticker"]["day"]["o"] == float(before[0]["p"])
    assert each.offset_ns > 20 * SECOND


@given(st.binary())
def test_a_stored_gzip_is_gzip_to_others(body: bytes) -> None:
    assert gzip.decompress(stored_gzip(body)) == body


def test_a_stored_gzip_may_have_several_blocks() -> None:
    assert gzip.decompress(stored_gzip(bytes(65_536) + b"end")) == bytes(65_536) + b"end"


def profile(records: Iterable[Record]) -> dict[str, str]:
    return dict([each for each in records if isinstance(each, Profile)][-1].values)


@pytest.mark.parametrize("records", [SAMPLE, GLIMPSE, MARKET])
def test_the_wording_is_on_the_cassette_as_if_learned(records: tuple[Record, ...]) -> None:
    assert profile(records) == {
        "greeting": '[{"ev":"status","status":"connected","message":"Connected Successfully"}]',
        "auth_success": '[{"ev":"status","status":"auth_success","message":"authenticated"}]',
        "acks": "together",
    }


def test_the_wording_of_2019_goes_with_its_page() -> None:
    assert profile(page_2019()[1]) == {
        "greeting": '[{"ev":"status","status":"connected","message":"Connected Successfully"}]',
        "auth_success": '[{"ev":"status","status":"success","message":"authenticated"}]',
    }


def test_the_page_of_2019_is_replayed_to_the_letter() -> None:
    header, records = page_2019()
    assert [frame.payload for frame in server_frames(records)] == [
        b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]',
        b'[{"ev":"status","status":"success","message":"authenticated"}]',
        b'[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]',
        b'[{"ev":"T","sym":"MSFT","p":114.170,"x":"10","s":467,"t":1577413831740}]',
    ]
    assert [action for _, action in client_actions(records)] == [
        {"action": "auth", "params": "REDACTED-1"},
        {"action": "subscribe", "params": "T.MSFT"},
    ]
    traded = server_frames(records)[-1]
    assert 0 <= header.epoch_ns + traded.offset_ns - 1_577_413_831_740_000_000 < SECOND
    assert header.source is Source.SYNTHETIC
