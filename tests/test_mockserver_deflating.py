"""Frames compressed as RFC 7692 has it, read back by a decompressor that keeps its context and by one that does not."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.wire import frame_header
from tickdeck.mockserver.deflating import SHORTEST, agreed, deflated

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
TAIL = b"\x00\x00\xff\xff"

FRAMES = st.lists(
    st.tuples(
        st.sampled_from((TEXT, BINARY, CLOSE, PING)),
        st.one_of(
            st.binary(max_size=125),
            st.builds(lambda unit, n: unit * n, st.binary(max_size=9), st.integers(0, 20000)),
        ),
    ).map(lambda frame: frame if frame[0] < CLOSE else (frame[0], frame[1][:125])),
    max_size=12,
)


def wire_of(frames):
    return b"".join(frame_header(opcode, len(payload)) + payload for opcode, payload in frames)


def frames_of(wire):
    """First byte and payload of each frame."""
    while wire:
        size, at = wire[1], 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(wire[2:at], "big")
        yield wire[0], wire[at : at + size]
        wire = wire[at + size :]


def read(wire, window_bits, *, keeps_context):
    """The messages as a client reads them."""
    decompressor = zlib.decompressobj(-window_bits)
    for first, payload in frames_of(wire):
        if first & 0x40:
            if not keeps_context:
                decompressor = zlib.decompressobj(-window_bits)
            payload = decompressor.decompress(payload + TAIL)
            assert decompressor.unconsumed_tail == decompressor.unused_data == b""
        assert first & 0xB0 == 0x80
        yield first & 0x0F, payload


@given(FRAMES, st.integers(9, 15), st.booleans())
def test_a_client_reads_the_same_messages_whatever_context_it_keeps(frames, window_bits, keeps_context):
    wire = deflated(wire_of(frames), window_bits)
    assert list(read(wire, window_bits, keeps_context=keeps_context)) == frames


@given(FRAMES, st.integers(9, 15))
def test_nothing_gets_longer_and_no_control_frame_is_touched(frames, window_bits):
    shown = list(frames_of(deflated(wire_of(frames), window_bits)))
    for (first, payload), (opcode, whole) in zip(shown, frames, strict=True):
        assert len(payload) <= len(whole)
        if opcode >= CLOSE or len(whole) < SHORTEST:
            assert (first, payload) == (0x80 | opcode, whole)


@given(st.lists(st.text(min_size=SHORTEST, max_size=300), max_size=8), st.data())
def test_how_a_run_is_cut_does_not_change_what_is_read(texts, data):
    frames = [(TEXT, text.encode()) for text in texts]
    cut = data.draw(st.integers(0, len(frames)))
    wire = deflated(wire_of(frames[:cut]), 15) + deflated(wire_of(frames[cut:]), 15)
    assert list(read(wire, 15, keeps_context=True)) == frames


def test_market_data_gets_a_good_deal_shorter():
    events = [
        {"ev": "T", "sym": "AAPL", "x": 4, "p": 114.17 + n, "s": 100, "t": 1577975454000 + n}
        for n in range(50)
    ]
    wire = wire_of([(TEXT, json.dumps(events).encode())])
    assert len(deflated(wire, 15)) * 3 < len(wire)


@pytest.mark.parametrize("size", [0, SHORTEST - 1])
def test_a_short_message_goes_out_as_it_is(size):
    wire = wire_of([(TEXT, b"x" * size)])
    assert deflated(wire, 15) == wire


def test_a_message_in_several_frames_is_left_alone():
    wire = b"\x01\x7e\x00\xc8" + b"x" * 200 + b"\x80\x7e\x00\xc8" + b"x" * 200
    assert deflated(wire, 15) == wire


def test_equal_messages_are_compressed_equally_for_none_refers_to_one_before():
    first, second = frames_of(deflated(wire_of([(TEXT, b"Hello" * 20)] * 2), 15))
    assert first == second
    assert first[0] == 0xC1


BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offers", "answer", "window_bits"),
    [
        ("permessage-deflate", BOTH, 15),
        ("permessage-deflate; client_max_window_bits", BOTH, 15),
        ("permessage-deflate;client_max_window_bits=9;server_no_context_takeover", BOTH, 15),
        ("permessage-deflate; server_max_window_bits=15", f"{BOTH}; server_max_window_bits=15", 15),
        ('permessage-deflate; server_max_window_bits="10"', f"{BOTH}; server_max_window_bits=10", 10),
        ("x-other; a=b, permessage-deflate", BOTH, 15),
        ("permessage-deflate; unheard_of, permessage-deflate; client_no_context_takeover", BOTH, 15),
    ],
)
def test_the_first_offer_that_can_be_kept_is_taken(offers, answer, window_bits):
    agreement = agreed(offers)
    assert (agreement.answer, agreement.window_bits) == (answer, window_bits)


@pytest.mark.parametrize(
    "parameters",
    [
        "unheard_of",
        "server_max_window_bits",
        "server_max_window_bits=8",
        "server_max_window_bits=16",
        "server_max_window_bits=015",
        "client_max_window_bits=7",
        "client_max_window_bits=",
        "server_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "",
    ],
)
def test_an_offer_that_breaks_the_rules_or_cannot_be_kept_is_declined(parameters):
    assert agreed(f"permessage-deflate; {parameters}") is None


@pytest.mark.parametrize("offers", ["", "permessage-bzip2", "PERMESSAGE-DEFLATED"])
def test_what_is_not_offered_is_not_agreed_on(offers):
    assert agreed(offers) is None


@given(st.text(max_size=60))
def test_any_header_is_an_offer_or_is_none(offers):
    agreement = agreed(offers)
    assert agreement is None or agreement.answer.startswith("permessage-deflate")
