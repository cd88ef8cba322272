from __future__ import annotations

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import BINARY, PING, TEXT, Sender
from tickdeck.dialects import find
from tickdeck.recorder.capture import Message
from tickdeck.recorder.only import Only

INDEXER = find("polygon").indexer

KEPT = [
    Message(0, TEXT, b'[{"ev":"T","sym":"A"}]'),
    Message(1, TEXT, b'[{"ev":"Q","sym":"B"},{"ev":"T","sym":"A"}]'),
    Message(2, TEXT, b'[{"ev":"status","status":"success","message":"subscribed to: Q.*"}]'),
    Message(3, TEXT, b"opaque"),
    Message(4, BINARY, b'[{"ev":"Q","sym":"B"}]'),
    Message(5, PING, b""),
]
LEFT_OUT = [Message(6, TEXT, b'[{"ev":"Q","sym":"A"}]'), Message(7, TEXT, b'[{"ev":"T","sym":"B"}]')]


def test_frames_with_a_wanted_event_and_what_is_no_market_data_are_kept() -> None:
    only = Only(["T.A"], INDEXER)
    assert list(only.kept(Sender.SERVER, [*KEPT, *LEFT_OUT])) == KEPT
    assert only.left_out == 2


def test_a_wildcard_wants_a_whole_topic() -> None:
    only = Only(["T.*"], INDEXER)
    assert list(only.kept(Sender.SERVER, LEFT_OUT)) == LEFT_OUT[1:]


def test_a_status_beside_unwanted_data_does_not_save_it() -> None:
    frame = Message(0, TEXT, b'[{"ev":"status","status":"success","message":"x"},{"ev":"Q","sym":"B"}]')
    assert list(Only(["T.*"], INDEXER).kept(Sender.SERVER, [frame])) == []


def test_what_the_client_says_is_kept() -> None:
    only = Only(["T.*"], INDEXER)
    assert only.kept(Sender.CLIENT, LEFT_OUT) == LEFT_OUT
    assert only.left_out == 0


@pytest.mark.parametrize("name", ["T", "T.", ".A", ""])
def test_what_is_no_channel_is_named(name: str) -> None:
    with pytest.raises(UsageError, match="only wants channels like"):
        Only([name], INDEXER)
