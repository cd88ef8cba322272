"""The heads of a client's frames, in any pieces: what may be read, and what is a breach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.mockserver.strictness import FrameWatch

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


def masked(opcode, payload, *, final=True, mask=b"\x01\x02\x03\x04"):
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = b"\xfe" + size.to_bytes(2, "big") if size < 1 << 16 else b"\xff" + size.to_bytes(8, "big")
    hidden = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((0x80 * final | opcode,)) + length + mask + hidden


GOOD = masked(TEXT, b"hello") + masked(PING, b"") + masked(TEXT, b"x" * 300, final=False)
GOOD += masked(PING, b"in between") + masked(CONTINUATION, b"y" * 70_000) + masked(BINARY, b"")
GOOD += masked(CLOSE, b"\x03\xe8bye")

BREACHES = {
    b"\x81\x05hello": "a frame that is not masked",
    masked(TEXT, b"a", final=False) + masked(TEXT, b"b"): "a message that begins within another one",
    masked(BINARY, b"", final=False) + masked(BINARY, b""): "a message that begins within another one",
    **{
        masked(CLOSE, code.to_bytes(2, "big")): f"the close code {code}, which may not be sent"
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
}


def fed(watch, wire, cuts):
    """What may be read of the wire, fed in pieces."""
    ends = sorted({cut % (len(wire) + 1) for cut in cuts} | {len(wire)})
    return b"".join(watch.feed(wire[start:end]) for start, end in zip([0, *ends], ends, strict=False))


@given(st.lists(st.integers(0, len(GOOD)), max_size=8))
def test_what_keeps_to_the_rules_passes_as_it_came(cuts):
    watch = FrameWatch()
    assert fed(watch, GOOD, cuts) == GOOD
    assert watch.breach is None


@given(
    st.sampled_from(sorted(BREACHES)),
    st.lists(st.integers(0, len(GOOD) + 20), max_size=8),
    st.binary(max_size=9),
)
def test_nothing_of_or_behind_a_breach_is_read(bad, cuts, behind):
    watch = FrameWatch()
    before = GOOD[: -len(masked(CLOSE, b"\x03\xe8bye"))]
    seen = fed(watch, before + bad + behind, cuts)
    good = bad[: len(masked(TEXT, b"a"))] if "within" in BREACHES[bad] else b""
    if bad == masked(BINARY, b"", final=False) + masked(BINARY, b""):
        good = masked(BINARY, b"", final=False)
    assert seen == before + good
    assert watch.breach == BREACHES[bad]
    assert watch.feed(GOOD) == b""


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_a_code_that_may_be_sent_passes(code):
    watch = FrameWatch()
    wire = masked(CLOSE, code.to_bytes(2, "big") + b"because")
    assert fed(watch, wire, range(len(wire))) == wire
    assert watch.breach is None


@pytest.mark.parametrize("payload", [b"", b"\x03"])
def test_a_close_without_a_code_is_the_readers_to_judge(payload):
    watch = FrameWatch()
    assert watch.feed(masked(CLOSE, payload)) == masked(CLOSE, payload)
    assert watch.breach is None


def test_no_more_than_a_head_is_held_back():
    watch = FrameWatch()
    wire = masked(TEXT, b"x" * 70_000)
    assert watch.feed(wire[:13]) == b""
    assert watch.feed(wire[13:14]) == wire[:14]
    assert watch.feed(wire[14:100]) == wire[14:100]


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_pass_or_are_a_breach_and_nothing_is_made_up(pieces):
    watch = FrameWatch()
    assert b"".join(pieces).startswith(b"".join(watch.feed(piece) for piece in pieces))
