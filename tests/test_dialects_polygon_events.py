"""Where each event lies, for every type of every market, and for what is no event at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.indexing import STATUS, Event, Holding
from tickdeck.cassette.records import Sender
from tickdeck.dialects import find
from tickdeck.dialects.flat_frames import (
    LOOKED_AT,
    MOST_LAYOUTS,
    _Layouts,
    events_of_flat,
    index_of_flat,
)
from tickdeck.dialects.polygon_events import events, holdings, parsed_events

EVENTS = [
    (
        "T.MSFT",
        b'{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784}',
    ),
    (
        "T.AAPL",
        b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"t":1781622376036,"ds":"40.0"}',
    ),
    ("T.MSFT", b'{"ev":"T","sym":"MSFT","i":8310,"x":4,"p":156.9799,"s":3,"c":[37],"t":1577818283019,"z":3}'),
    ("T.MSFT", b'{"ev":"T","sym":"MSFT","p":114.170,"x":"10","s":467,"t":1577413831740}'),
    ("T.BRK.B", b'{"ev":"T","sym":"BRK.B","p":1}'),
    (
        "Q.MSFT",
        b'{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604]}',
    ),
    (
        "A.SPCE",
        b'{"ev":"A","sym":"SPCE","v":200,"av":8642007,"op":25.66,"vw":25.3981,"dav":"4332125.038360"}',
    ),
    ("AM.GTE", b'{"ev":"AM","sym":"GTE","v":4110,"op":0.4372,"otc":true,"s":1610144640000}'),
    ("LULD.MSFT", b'{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":1788877046310003385}'),
    (
        "NOI.NTEST.Q",
        b'{"ev":"NOI","T":"NTEST.Q","t":1601318039223013600,"at":930,"a":"M","i":44,"x":10,"b":25.03}',
    ),
    ("FMV.AAPL", b'{"ev":"FMV","fmv":189.22,"sym":"AAPL","t":1678220098130}'),
    ("LV.AAPL", b'{"ev":"LV","val":189.22,"sym":"AAPL","t":1678220098130}'),
    ("T.O:AMC210827C00037000", b'{"ev":"T","sym":"O:AMC210827C00037000","x":65,"p":1.54,"s":1,"c":[233]}'),
    ("Q.O:SPY241220P00720000", b'{"ev":"Q","sym":"O:SPY241220P00720000","bx":302,"bp":9.71,"q":844090872}'),
    ("C.USD/CNH", b'{"ev":"C","p":"USD/CNH","x":"44","a":6.83366,"b":6.83363,"t":1536036818784}'),
    ("C.USD/CNH", b'{"ev":"C","p":"USD-CNH","x":44,"a":6.83366}'),
    ("C.USD/CNH", b'{"ev":"C","pair":"USD/CNH","p":"not this"}'),
    ("CA.USD/EUR", b'{"ev":"CA","pair":"USD/EUR","o":0.8687,"c":0.86889,"v":20,"s":1539145740000}'),
    ("CAS.USD/EUR", b'{"ev":"CAS","pair":"USD-EUR","o":0.8687}'),
    (
        "XT.BTC-USD",
        b'{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,"s":0.01616617,"c":[2],"i":14272084}',
    ),
    ("XQ.BTC-USD", b'{"ev":"XQ","pair":"BTC-USD","bp":33052.79,"bs":0.48,"ap":33073.19,"as":0.601,"x":1}'),
    (
        "XL2.BTC-USD",
        b'{"ev":"XL2","pair":"BTC-USD","t":1,"b":[[33712.71,0.18635],[33712.7,0.134]],"a":[[33718.23,3.5]]}',
    ),
    ("XA.BCD-USD", b'{"ev":"XA","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73}'),
    ("XAS.BCD-USD", b'{"ev":"XAS","pair":"BCD-USD","v":951.6112}'),
    ("XS.BTC-USD", b'{"ev":"XS","pair":"BTC-USD","p":1.5}'),
    ("AM.X:BTC-USD", b'{"ev":"AM","sym":"X:BTC-USD","v":1}'),
    ("V.I:SPX", b'{"ev":"V","val":3988.5,"T":"I:SPX","t":1678220098130}'),
    ("AM.I:SPX", b'{"ev":"AM","sym":"I:SPX","op":3985.67,"o":3985.67}'),
    ("Q.ESZ4", b'{"ev":"Q","sym":"ESZ4","bp":5499.0,"bs":50,"bt":1700000000000,"ap":5500.0}'),
    ("A.ESZ4", b'{"ev":"A","sym":"ESZ4","v":1,"dv":5499.0,"n":1}'),
    ("NEW.ABC", b'{"ev":"NEW","sym":"ABC"}'),
    ("NEW.", b'{"ev":"NEW"}'),
    ("XT.", b'{"ev":"XT","p":"33021.9"}'),
    ("T.", b'{"ev":"T","sym":5,"p":1}'),
    ("T.B", b'{"ev":"T","sym":null,"T":"B"}'),
    (".A", b'{"ev":"","sym":"A"}'),
    ("T.A", b'{"ev":"T","sym":"A","p":NaN,"q":-Infinity,"z":1E400}'),
    ("T.A", b'{"ev":"T","sym":"A","p":' + b"9" * 5000 + b"}"),
    ("T.\u00e9", '{"ev":"T","sym":"\u00e9"}'.encode()),
    ("T.\u00e9", b'{"ev":"T","sym":"\\u00e9"}'),
    ("T.?", b'{"ev":"T","sym":"\\ud800"}'),
    ("T.\ufffd", b'{"ev":"T","sym":"\xff"}'),
    ('T."},{', b'{"ev":"T","sym":"\\"},{"}'),
    ("T.},{", b'{"ev":"T","sym":"},{"}'),
    (STATUS, b'{"ev":"status","status":"connected","message":"Connected Successfully"}'),
    (STATUS, b'{"ev":"","status":"disconnected"}'),
]
"""An event as the wire has it, and its channel."""


@pytest.mark.parametrize(("channel", "event"), EVENTS)
def test_an_event_is_on_the_channel_of_its_type_and_symbol(channel: str, event: bytes) -> None:
    assert events(b"[%s]" % event) == [Event(1, 1 + len(event), channel)]


def test_every_event_of_a_frame_is_cut_at_the_byte() -> None:
    payload = b"[" + b",".join(event for _, event in EVENTS) + b"]"
    found = events(payload)
    assert found is not None
    assert [(each.channel, payload[each.start : each.end]) for each in found] == EVENTS


def test_spaces_around_events_belong_to_none() -> None:
    assert events(b' \t[\r\n {"ev":"T","sym":"A"} , {"ev" : "T", "sym" : "B"} ] \n') == [
        Event(6, 26, "T.A"),
        Event(29, 54, "T.B"),
    ]


def test_a_symbol_that_comes_before_the_type_counts() -> None:
    assert events(b'[{"sym":"A","ev":"T"}]') == [Event(1, 21, "T.A")]


def test_of_several_names_for_a_symbol_sym_goes_first() -> None:
    assert events(b'[{"ev":"A","T":"B","pair":"C","sym":"D"}]') == [Event(1, 40, "A.D")]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"[]",
        b"[ ]",
        b"{}",
        b'"[]"',
        b"[1]",
        b'[{"ev":"T"},1]',
        b"[{}]",
        b'[{"ev":5,"sym":"A"}]',
        b'[{"sym":"A"}]',
        b'{"ev":"T","sym":"A"}',
        b'[{"ev":"T","sym":"A"}',
        b'[{"ev":"T","sym":"A"},]',
        b'[,{"ev":"T","sym":"A"}]',
        b'[{"ev":"T","sym":"A"}]]',
        b'[{"ev":"T","sym":"A"}][{"ev":"T","sym":"A"}]',
        b'[{"ev":"T","sym":"A"}{"ev":"T","sym":"A"}]',
        b'[{"ev":"T","sym":"A"}],{"ev":"T","sym":"A"}]',
        b'[{"ev":"T","sym":"A","p":1.}]',
        b'[{"ev":"T","sym":"A","p":01}]',
        b'[{"ev":"T","sym":"A","p":-}]',
        b'[{"ev":"T","sym":"A","p":}]',
        b'[{"ev":"T","sym":"A","c":[1,]}]',
        b'[{"ev":"T","sym":"A","c":[,1]}]',
        b'[{"ev":"T","sym":"A","i":"\n"}]',
        b'[{"ev":"T","sym":"A",}]',
        b'[{"ev":"T","sym":"A"} x]',
        b'\xef\xbb\xbf[{"ev":"T","sym":"A"}]',
        b"\x01",
        b"[" * 100_000,
        b'[{"ev":' + b'{"a":' * 100_000,
        b'[{"ev":"T","sym":"A","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    ],
)
def test_what_is_no_array_of_events_is_opaque(payload: bytes) -> None:
    assert events(payload) is None


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.lists(st.integers(0, 99), max_size=3)
KEYS = st.sampled_from(["p", "s", "c", "t", "x1", "sym", "pair", "T", "ev", "status", "\u00e9"])
SYMBOLS = st.sampled_from(["A", "BRK.B", "USD-CNH", "O:SPY241220P00720000", "", "}", "\u00e9", '"'])
TYPES = st.sampled_from(["T", "Q", "C", "CA", "CAS", "XT", "LULD", "status", "", "XL2", "t"])


@st.composite
def objects(draw: st.DrawFn) -> dict[str, object]:
    """An object much like an event, its routing keys first or anywhere."""
    head = {"ev": draw(TYPES), draw(st.sampled_from(["sym", "pair", "T", "p"])): draw(SYMBOLS)}
    return head | draw(st.dictionaries(KEYS, VALUES, max_size=4))


SPELLINGS = st.sampled_from([(",", ":"), (", ", ": ")])


@given(st.lists(objects(), min_size=1, max_size=4), SPELLINGS, st.booleans())
def test_the_quick_way_sees_what_parsing_sees(
    frame: list[dict[str, object]], separators: tuple[str, str], escape: bool
) -> None:
    payload = json.dumps(frame, separators=separators, ensure_ascii=escape).encode("utf-8", "replace")
    assert events(payload) == parsed_events(payload)


FLAT = b'[{"ev":"T","sym":"AAPL","p":0.5,"c":[1,20],"i":"x"},{"ev":"Q","sym":"B","z":true,"s":-10}]'


@given(
    st.integers(0, len(FLAT)),
    st.integers(0, 3),
    st.binary(max_size=2) | st.sampled_from([b",", b'"', b"0", b"{"]),
)
def test_the_quick_way_is_as_strict_as_parsing(at: int, gone: int, instead: bytes) -> None:
    payload = FLAT[:at] + instead + FLAT[at + gone :]
    assert events(payload) == parsed_events(payload)


@pytest.mark.parametrize(
    "again", [b'"sym":"B"', b'"ev":"Q"', b'"pair":"B"', b'"T":"B"'], ids=lambda pair: pair.decode()
)
def test_a_routing_key_that_comes_again_is_left_to_parsing(again: bytes) -> None:
    payload = b'[{"ev":"T","sym":"A",%s}]' % again
    assert events_of_flat(payload) is None
    assert events(payload) == parsed_events(payload)


def test_the_quick_way_is_taken_for_what_markets_send() -> None:
    stocks = [event for channel, event in EVENTS[:8] if channel]
    assert events_of_flat(b"[" + b",".join(stocks) + b"]") is not None


@given(st.binary() | st.text().map(str.encode))
def test_no_payload_is_too_odd_to_look_at(payload: bytes) -> None:
    assert events(payload) == parsed_events(payload)
    holdings(Sender.SERVER, payload)


def ack(message: str) -> str:
    return f'{{"ev":"status","status":"success","message":"{message}"}}'


@pytest.mark.parametrize(
    "frames",
    [
        [f"[{ack('subscribed to: T.AAPL')},{ack('subscribed to: C.EUR-USD')},{ack('unsubscribed to: T.*')}]"],
        [
            f"[{ack('subscribed to: T.AAPL')}]",
            f"[{ack('subscribed to: C.EUR/USD')}]",
            f"[ {ack('unsubscribed to: T.*')}]",
        ],
        [
            f"[{ack('authenticated')},{ack('subscribed to: T.AAPL')}]",
            f'[{{"ev":"T","sym":"A"}},{ack("subscribed to: C.EUR/USD")},{ack("unsubscribed to: T.*")}]',
        ],
    ],
    ids=["together", "apart", "with the auth reply and with data"],
)
def test_an_acknowledgement_counts_in_any_framing(frames: list[str]) -> None:
    found = [each for frame in frames for each in holdings(Sender.SERVER, frame.encode())]
    assert found == [Holding("T.AAPL", True), Holding("C.EUR/USD", True), Holding("T.*", False)]


@pytest.mark.parametrize(
    "payload",
    [
        b'[{"ev":"T","sym":"A"}]',
        b'[{"ev":"status","status":"error","message":"subscribed to: T.A"}]',
        b'[{"ev":"T","status":"success","message":"subscribed to: T.A"}]',
        b'[{"ev":"status","status":"success","message":5}]',
        b'[{"ev":"status","status":"success"}]',
        b'[{"ev":"status","status":"success","message":"authenticated"}]',
        b'[{"ev":"status","status":"success","message":"subscribed to: T.A"}',
        b'{"ev":"status","status":"success","message":"subscribed to: T.A"}',
        b'["status"]',
        b"[]",
        b"",
    ],
)
def test_nothing_else_changes_what_is_held(payload: bytes) -> None:
    assert list(holdings(Sender.SERVER, payload)) == []


def test_a_client_holds_nothing_by_asking() -> None:
    payload = f"[{ack('subscribed to: T.A')}]".encode()
    assert list(holdings(Sender.CLIENT, payload)) == []


def test_the_cassette_finds_the_indexer_by_the_name_in_its_header() -> None:
    indexer = find("polygon").indexer
    assert (indexer.name, indexer.revision) == ("polygon", 1)
    assert indexer.events(b'[{"ev":"T","sym":"A"}]') == [Event(1, 21, "T.A")]
    assert indexer.holdings(Sender.SERVER, b"[]") == ()


def test_a_dialect_that_nobody_speaks_is_named() -> None:
    with pytest.raises(FormatError) as caught:
        find("klingon")
    assert str(caught.value) == "this release does not speak the dialect 'klingon'; it speaks polygon"


def test_a_layout_that_was_met_changes_nothing_about_what_is_accepted() -> None:
    layouts = _Layouts()
    trade = ',{"ev":"T","sym":"A","x":4,"i":"7","c":[14],"z":true}'
    odd = [
        trade.replace("4", "04"),
        trade.replace('"7"', "7"),
        trade.replace("[14]", "[014]"),
        trade.replace("true", "nil"),
        trade.replace("true", "false"),
        trade.replace(',"z":true', ""),
        trade.replace("true", 'true,"more":1'),
        trade.replace('"x"', '"sym"'),
    ]
    before = [layouts.found_in(text) for text in odd]
    for _ in range(2 * LOOKED_AT):
        assert layouts.found_in(trade) == [(trade[1:], "T", "A")]
    assert len(layouts._known) == 1
    assert [layouts.found_in(text) for text in odd] == before
    assert [len(found) for found in before] == [0, 1, 0, 0, 1, 1, 1, 0]


def test_only_so_many_layouts_are_remembered() -> None:
    layouts = _Layouts()
    for number in range(4 * MOST_LAYOUTS):
        event = f',{{"ev":"T","sym":"A","{"abcdefgh"[number % 8]}{"x" * number}":1}}'
        for _ in range(LOOKED_AT):
            assert layouts.found_in(event) == [(event[1:], "T", "A")]
    assert len(layouts._known) == MOST_LAYOUTS


PAYLOADS = st.one_of(
    st.lists(objects(), min_size=1, max_size=3).map(
        lambda frame: json.dumps(frame, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    ),
    st.sampled_from([b'[{"ev":"T","sym":"A"}]', b'[{"ev":"Q","sym":"B","p":1},{"ev":"T","sym":"A","c":[]}]']),
    st.sampled_from(
        [b"", b"[]", b"\n", b'[{"ev":"T","sym":"A"}]\n[{"ev":"T","sym":"A"}]', b'{"ev":"T","sym":"A"}]']
    ),
    st.sampled_from([b'[{"ev":"T","sym":"A"},', b'[{"ev":"T","sym":"A"}', b',{"ev":"T","sym":"A"}']),
)


@given(st.lists(PAYLOADS, min_size=1, max_size=6))
def test_many_frames_at_once_are_seen_as_one_by_one(payloads: list[bytes]) -> None:
    index = index_of_flat(payloads)
    one_by_one = [events_of_flat(payload) for payload in payloads]
    if index is None:
        return
    assert None not in one_by_one
    assert list(index.counts) == [len(found or ()) for found in one_by_one]
    triples = zip(index.starts, index.ends, index.channels, strict=True)
    assert [Event(*triple) for triple in triples] == [event for found in one_by_one for event in found or ()]


@given(st.lists(st.sampled_from(["A", "BRK.B"]), min_size=1, max_size=5), st.integers(2, 90))
def test_small_frames_of_the_market_are_looked_at_together(symbols: list[str], frames: int) -> None:
    payload = json.dumps([{"ev": "T", "sym": symbol, "p": 1.5} for symbol in symbols], separators=(",", ":"))
    index = index_of_flat([payload.encode()] * frames)
    assert index is not None
    assert list(index.counts) == [len(symbols)] * frames


def test_large_frames_are_left_to_be_looked_at_one_by_one() -> None:
    payload = b"[" + b",".join([b'{"ev":"T","sym":"A"}'] * 30) + b"]"
    assert events_of_flat(payload) is not None
    assert index_of_flat([payload] * 3) is None
