"""Every type of event of the service, with a sample of its wire or its documentation, before and after."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tickdeck.dialects.moments import Shift
from tickdeck.dialects.polygon_events import events
from tickdeck.dialects.timefields import BY_TYPE, EVERYWHERE, EventMover, Stretch, parsed_event

DAYS = 1000
LATER = Shift(DAYS * 86_400_000, DAYS, UTC)

SAMPLES = [
    b'{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":<1536036818784>,"q":3681328}',
    (
        b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"t":<1781622376036>,"pt":<1781622376029>,'
        b'"q":4938312,"z":3,"trfi":202,"trft":<1781622376036>,"ds":"40.0"}'
    ),
    b'{"ev":"T","sym":"AAPL","i":"5096","x":10,"p":161.87,"s":300,"c":[14,41],"t":<1651684192462>,"q":4009402,"z":3}',
    b'{"ev":"T","sym":"AAPL","x":4,"p":194.949,"s":5,"c":[37],"t":<1560181868990>}',
    b'{"ev":"T","sym":"MSFT","i":8310,"x":4,"p":156.9799,"s":3,"c":[37],"t":<1577818283019>,"z":3}',
    b'{"ev":"T","sym":"MSFT","p":114.170,"x":"10","s":467,"t":<1577413831740>}',
    (
        b'{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
        b'"t":<1536036818784>,"q":50385480,"z":3}'
    ),
    (
        b'{"ev":"A","sym":"SPCE","v":200,"av":8642007,"op":25.66,"vw":25.3981,"o":25.39,"c":25.39,"h":25.39,"l":25.39,'
        b'"a":25.3714,"z":50,"s":<1610144868000>,"e":<1610144869000>}'
    ),
    (
        b'{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,"h":0.4489,'
        b'"l":0.4486,"a":0.4352,"z":685,"s":<1610144640000>,"e":<1610144700000>}'
    ),
    b'{"ev":"AM","sym":"AAPL","v":4989,"dv":"4989.0","dav":"4332125.038360","s":<1610144640000>,"e":<1610144700000>,"otc":true}',
    b'{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":<1601316752683746>,"q":290317}',
    b'{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":<1788877046310003385>,"q":290317}',
    b'{"ev":"NOI","T":"NTEST.Q","t":<1601318039223013600>,"at":930,"a":"M","i":44,"x":10,"o":480,"p":440,"b":25.03}',
    b'{"ev":"FMV","fmv":189.22,"sym":"AAPL","t":<1678220098130>}',
    b'{"ev":"FMV","fmv":189.22,"sym":"AAPL","t":<1678220098130123456>}',
    b'{"ev":"LV","val":189.22,"sym":"AAPL","t":<1678220098130>}',
    b'{"ev":"T","sym":"O:AMC210827C00037000","x":65,"p":1.54,"s":1,"c":[233],"t":<1629820676333>,"q":651921857}',
    (
        b'{"ev":"Q","sym":"O:SPY241220P00720000","bx":302,"ax":302,"bp":9.71,"ap":9.81,"bs":17,"as":24,'
        b'"t":<1644506128351>,"q":844090872}'
    ),
    b'{"ev":"C","p":"USD/CNH","x":"44","a":6.83366,"b":6.83363,"t":<1536036818784>}',
    b'{"ev":"CA","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,"s":<1539145740000>}',
    (
        b'{"ev":"CAS","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,"s":<1539145740000>,'
        b'"e":<1539145741000>}'
    ),
    (
        b'{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":<1610462007425>,"s":0.01616617,"c":[2],"i":14272084,"x":3,'
        b'"r":<1610462007576>}'
    ),
    (
        b'{"ev":"XQ","pair":"BTC-USD","bp":33052.79,"bs":0.48,"ap":33073.19,"as":0.601,"t":<1610462411115>,"x":1,'
        b'"r":<1610462411128>}'
    ),
    (
        b'{"ev":"XL2","pair":"BTC-USD","t":<1610462411115>,"r":<1610462411128>,"x":1,"b":[[33712.71,0.18635],[33712.7,0.134]],'
        b'"a":[[33718.23,3.5527483],[33718.24,0.1]]}'
    ),
    (
        b'{"ev":"XA","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,'
        b'"s":<1610463240000>,"e":<1610463300000>}'
    ),
    (
        b'{"ev":"XAS","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,'
        b'"s":<1610463240000>,"e":<1610463241000>}'
    ),
    b'{"ev":"V","val":3988.5,"T":"I:SPX","t":<1678220098130>}',
    (
        b'{"ev":"AM","sym":"I:SPX","op":3985.67,"o":3985.67,"c":3985.67,"h":3985.67,"l":3985.67,'
        b'"s":<1678220675805>,"e":<1678220675806>}'
    ),
    b'{"ev":"T","sym":"ESZ4","p":5499.0,"s":3,"t":<1700000000000>,"q":17}',
    (
        b'{"ev":"Q","sym":"ESZ4","bp":5499.0,"bs":50,"bt":<1700000000000>,"ap":5500.0,"as":30,"at":<1700000000001>,'
        b'"t":<1700000000002>}'
    ),
    (
        b'{"ev":"A","sym":"ESZ4","v":4,"dv":22000.0,"o":5499.0,"c":5499.0,"h":5499.0,"l":5499.0,"n":2,'
        b'"s":<1700000000000>,"e":<1700000001000>}'
    ),
]
"""What moves stands between angle brackets."""

ODD = [
    b'{"ev":"T","sym":"X","s":1536036818784,"e":1536036818784,"r":1536036818784,"t":<1536036818784>}',
    b'{"ev":"A","sym":"X","r":1536036818784,"q":1536036818784,"i":"1536036818784","s":<1536036818784>}',
    b'{"ev":"T","sym":"X","t":null}',
    b'{"ev":"T","sym":"X","t":930}',
    b'{"ev":"T","sym":"X","t":<1536036818784>.0}',
    b'{"ev":"T","sym":"X","t":1536036818784.5}',
    b'{"ev":"T","sym":"X","t":1536036818784.}',
    b'{"ev":"T","sym":"X","t":15360368187e+1}',
    b'{"ev":"T","sym":"X","t":-1536036818784}',
    b'{"ev":"T","sym":"X","t":"1536036818784"}',
    b'{"ev":"T","sym":"X","t":[1536036818784,1536036818784]}',
    b'{"ev":"T","sym":"X","t":99999999999}',
    b'{"ev":"T","sym":"X","T":1536036818784,"tt":1536036818784,"opt":1536036818784,"":1536036818784}',
    b'{"ev":"T","sym":"\\"t\\":1536036818784,","t":<1536036818784>}',
    b'{"ev":"T","sym":"{\\"t\\":1536036818784}","x":{"t":1536036818784},"t":<1536036818784>}',
    b'{"ev":"T","x":[{"t":1536036818784}],"y":{"ev":"A","t":1536036818784},"t":<1536036818784>}',
    b'{ "ev" : "A" , "sym" : "X" , "s" : <1536036818784> , "e":\t<1536036818784>\n}',
    b'{"t":<1536036818784>,"sym":"X","s":<1536036818784>,"ev":"AM"}',
    b'{"ev":"T","ev":"A","s":<1536036818784>}',
    b'{"ev":"T","\\u0074":<1536036818784>}',
    b'{"ev":"T","c":"t","p":"t","t":<1536036818784>,"z":"t"}',
    b'{"ev":"\xc3\xa9","t":<1536036818784>,"s":1536036818784}',
    b'{"ev":"A.B","sym":"X","s":<1536036818784>}',
    b'{"ev":"T","t":<1536036818784>,"t":<1536036818785>}',
    b'{"ev":"status","status":"success","message":"t: 1536036818784"}',
    b"{}",
]


def marked(sample: bytes) -> tuple[bytes, bytes]:
    """A sample as it is, and as it is moved."""
    outside, *marks = sample.split(b"<")
    before, after = [outside], [outside]
    for mark in marks:
        digits, _, rest = mark.partition(b">")
        unit_ms = 10 ** (len(digits) - 13)
        before += (digits, rest)
        after += (b"%d" % (int(digits) + LATER.ms * unit_ms), rest)
    return b"".join(before), b"".join(after)


def stretch_of(*sent: bytes) -> Stretch:
    """Frames of one event each, as they cross the wire, with headers that look like what is searched for."""
    wire, headers, starts, ends, ids = b"", b"", [], [], []
    channels = [""]
    for event in sent:
        payload = b"[" + event + b"]"
        (found,) = events(payload) or ()
        headers += b"\x81\x7e{\\"
        wire += b"\x81\x7e{\\"
        starts.append(len(wire) + 1)
        wire += payload
        ends.append(len(wire) - 1)
        if found.channel not in channels:
            channels.append(found.channel)
        ids.append(channels.index(found.channel))
    return Stretch(wire, headers, len(ids), sorted(set(ids)), channels, lambda: (starts, ends, ids))


@pytest.mark.parametrize("sample", [*SAMPLES, *ODD])
def test_the_moments_of_an_event_move_and_nothing_else(sample: bytes) -> None:
    before, after = marked(sample)
    assert EventMover(LATER).event(before) == after
    assert parsed_event(before, LATER) == after


def test_a_moment_may_come_to_have_more_digits() -> None:
    event = b'{"ev":"T","t":999999999999,"pt":9999999999999}'
    moved = b'{"ev":"T","t":1086399999999,"pt":10086399999999}'
    assert EventMover(LATER).event(event) == moved
    assert parsed_event(event, LATER) == moved


def test_what_is_no_object_stays() -> None:
    for text in (
        b"[1536036818784]",
        b'{"t":1536036818784',
        b'{"t":1536036818784}x',
        b"{1:2}",
        b'{"t" 1}',
        b"\xff",
    ):
        assert EventMover(LATER).event(text) == text


def test_a_hundred_thousand_brackets_are_no_event() -> None:
    event = b'{"t":1536036818784,"c":' + b"[" * 100_000
    assert EventMover(LATER).event(event) == event


def test_plain_frames_move_in_one_stretch() -> None:
    before, after = zip(*map(marked, SAMPLES), strict=True)
    moved = EventMover(LATER).stretch(stretch_of(*before))
    assert moved == stretch_of(*after).wire


def test_the_size_of_a_trade_is_no_start_of_an_aggregate_however_large() -> None:
    events_before = [marked(sample)[0] for sample in (ODD[0], SAMPLES[7], ODD[1])]
    events_after = [marked(sample)[1] for sample in (ODD[0], SAMPLES[7], ODD[1])]
    assert EventMover(LATER).stretch(stretch_of(*events_before)) == stretch_of(*events_after).wire


@pytest.mark.parametrize(
    "event",
    [
        b'{"ev":"T","sym":"\\/","t":1536036818784}',
        b'{"ev":"T","sym":"{","t":1536036818784}',
        b'{"ev":"T","sym":"X","t": 1536036818784}',
        b'{"ev":"T","sym":"X","t":999999999999}',
        b'{"ev":"T","sym":"X","t":9999999999999}',
        b'{"ev":"T","sym":"X","t":1536036818784.5}',
        b'{"ev":"T","sym":"X","t":1536036818784.0}',
        b'{"ev":"A","sym":"X","s":999999999999}',
    ],
)
def test_what_is_not_so_plain_is_left_to_be_done_event_by_event(event: bytes) -> None:
    assert EventMover(LATER).stretch(stretch_of(marked(SAMPLES[0])[0], event)) is None


def test_an_aggregate_with_a_byte_that_json_does_not_have_is_left_to_be_done_alone() -> None:
    trade, bar = (marked(sample)[0] for sample in (SAMPLES[0], SAMPLES[7]))
    stretch = stretch_of(trade, bar)
    assert EventMover(LATER).stretch(replace(stretch, wire=stretch.wire.replace(b"SPCE", b"SP\0E"))) is None


def test_an_empty_stretch_stays_empty() -> None:
    assert EventMover(LATER).stretch(Stretch(b"", b"", 0, [], [""], lambda: ([], [], []))) == b""


KEYS = st.sampled_from([*EVERYWHERE, *BY_TYPE, "ev", "c", "p", "opt", "T", "tt"])
MOMENTS = st.one_of(
    st.integers(10**12, 10**13 - 1),
    st.integers(10**15, 10**16 - 1),
    st.integers(10**18, 10**19 - 1),
    st.integers(1_700_000_000_000, 1_700_000_009_999),
)
VALUES = st.one_of(
    MOMENTS,
    st.integers(-(10**13), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
    st.text(alphabet='t":{}\\,1é ', max_size=12),
    st.recursive(
        st.lists(MOMENTS, max_size=2),
        lambda inner: st.dictionaries(KEYS, st.one_of(MOMENTS, inner), max_size=2),
        max_leaves=4,
    ),
)
KINDS = st.sampled_from(["T", "Q", "A", "AM", "XT", "XAS", "C", "NOI", "é"])
SHIFTS = st.one_of(
    st.integers(-(10**12), 10**12), st.integers(-9000, 9000).map(lambda hours: hours * 3_600_000)
).map(lambda ms: Shift(ms, None))


SPACES = st.sampled_from(["", "", " ", "\t"])


@st.composite
def any_event(
    draw: st.DrawFn, values: st.SearchStrategy[object] = VALUES, spaces: st.SearchStrategy[str] = SPACES
) -> bytes:
    pairs = [("ev", draw(KINDS)), *draw(st.lists(st.tuples(KEYS, values), max_size=6))]
    colon = f"{draw(spaces)}:{draw(spaces)}"
    words = [(json.dumps(key), json.dumps(value, ensure_ascii=False)) for key, value in pairs]
    return ("{" + ",".join(f"{key}{colon}{value}" for key, value in words) + "}").encode()


@given(any_event(), SHIFTS)
def test_the_quick_way_through_an_event_is_the_parsed_one(event: bytes, shift: Shift) -> None:
    assert EventMover(shift).event(event) == parsed_event(event, shift)


@given(st.lists(any_event(values=st.one_of(MOMENTS, MOMENTS, VALUES)), min_size=1, max_size=6), SHIFTS)
def test_a_stretch_moves_as_its_events_do(sent: list[bytes], shift: Shift) -> None:
    assume(all(events(b"[" + event + b"]") for event in sent))
    moved = EventMover(shift).stretch(stretch_of(*sent))
    if moved is not None:
        assert moved == stretch_of(*(parsed_event(event, shift) for event in sent)).wire


OURS = any_event(values=st.integers(1_400_000_000_000, 1_600_000_000_000), spaces=st.just(""))


@given(st.lists(OURS, min_size=1, max_size=6))
def test_moments_of_our_days_move_in_one_stretch(sent: list[bytes]) -> None:
    assume(all(events(b"[" + event + b"]") for event in sent))
    after = [parsed_event(event, LATER) for event in sent]
    assert EventMover(LATER).stretch(stretch_of(*sent)) == stretch_of(*after).wire


@given(any_event(), SHIFTS)
def test_only_moments_differ_when_a_moved_event_is_read(event: bytes, shift: Shift) -> None:
    before = json.loads(event, object_pairs_hook=list)
    after = json.loads(EventMover(shift).event(event), object_pairs_hook=list)
    for (key, old), (key_after, new) in zip(before, after, strict=True):
        assert key == key_after
        assert new == old or (key in (*EVERYWHERE, *BY_TYPE) and type(old) is type(new) is int)
