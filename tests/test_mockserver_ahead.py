"""Decoding ahead, with a decoder that a test holds back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tickdeck.cassette.chunks import Chunk
from tickdeck.cassette.errors import FormatError
from tickdeck.mockserver.ahead import PLACES, Ahead


class Slow:
    """A decoder that notes who asked for what; while it is held, decoding in the thread waits."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []
        self.begun = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def __call__(self, number: int) -> Chunk:
        in_thread = threading.current_thread() is not threading.main_thread()
        self.asked.append((number, in_thread))
        self.begun.set()
        if in_thread:
            assert self.free.wait(10)
        if number == 13:
            raise FormatError("chunk 13 is damaged")
        return Chunk(number, ("",), (), ())


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def ahead(slow: Slow) -> Iterator[Ahead]:
    ahead = Ahead(slow)
    yield ahead
    slow.free.set()
    ahead.close()


def hold(slow: Slow, ahead: Ahead, number: int) -> None:
    """Have the thread stand in the middle of decoding a chunk."""
    slow.free.clear()
    slow.begun.clear()
    ahead.prepare(number)
    assert slow.begun.wait(10)


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_without_preparation_a_chunk_is_decoded_where_it_is_asked_for(slow: Slow, ahead: Ahead) -> None:
    assert ahead(3).number == 3
    assert slow.asked == [(3, False)]


def test_what_was_prepared_is_decoded_once_and_handed_over_once(slow: Slow, ahead: Ahead) -> None:
    hold(slow, ahead, 3)
    ahead.prepare(3)
    releasing = in_background(slow.free.set)
    assert ahead(3).number == 3
    releasing.join()
    assert slow.asked == [(3, True)]
    assert ahead(3).number == 3
    assert slow.asked == [(3, True), (3, False)]


def test_what_waits_its_turn_is_decoded_where_it_is_asked_for(slow: Slow, ahead: Ahead) -> None:
    hold(slow, ahead, 3)
    ahead.prepare(4)
    assert ahead(4).number == 4
    assert slow.asked == [(3, True), (4, False)]


def test_an_error_is_raised_where_the_chunk_is_asked_for_and_the_thread_goes_on(
    slow: Slow, ahead: Ahead
) -> None:
    hold(slow, ahead, 13)
    slow.free.set()
    with pytest.raises(FormatError, match="chunk 13 is damaged"):
        ahead(13)
    hold(slow, ahead, 5)
    slow.free.set()
    assert ahead(5).number == 5
    assert slow.asked == [(13, True), (5, True)]


def test_no_more_is_made_ready_than_there_are_places_for(slow: Slow, ahead: Ahead) -> None:
    hold(slow, ahead, 0)
    for number in range(1, PLACES + 2):
        ahead.prepare(number)
    slow.free.set()
    assert [ahead(number).number for number in range(PLACES + 2)] == list(range(PLACES + 2))
    assert (0, True) in slow.asked
    assert (0, False) in slow.asked  # the thread had begun with it, but its place was taken
    assert (1, False) in slow.asked


def test_closing_ends_the_thread_and_nothing_is_prepared_any_more(slow: Slow) -> None:
    ahead = Ahead(slow)
    hold(slow, ahead, 1)
    ahead.prepare(2)
    worker = next(thread for thread in threading.enumerate() if thread.name == "tickdeck-ahead")
    assert worker.daemon
    closing = in_background(ahead.close)
    slow.free.set()
    closing.join(10)
    assert not worker.is_alive()
    ahead.prepare(3)
    assert ahead(3).number == 3
    assert slow.asked == [(1, True), (3, False)]
    ahead.close()


def test_a_server_that_prepared_nothing_has_no_thread(slow: Slow) -> None:
    before = threading.active_count()
    ahead = Ahead(slow)
    ahead(1)
    assert threading.active_count() == before
    ahead.close()


def test_while_chunks_cost_next_to_nothing_none_is_made_ready() -> None:
    asked: list[int] = []

    def decode(number: int) -> Chunk:
        asked.append(number)
        return Chunk(number, ("",), (), (), costly=number == 2)

    ahead = Ahead(decode)
    ahead(0)
    ahead.prepare(1)
    ahead.close()
    assert asked == [0]
    ahead = Ahead(decode)
    ahead(0)
    ahead(2)
    ahead.prepare(3)
    assert ahead(3).number == 3
    ahead.close()
    assert sorted(asked) == [0, 0, 2, 3]
