from __future__ import annotations

import pytest

from tickdeck.dialects.advice import EVICTIONS, advice


def status(name: str, message: str) -> bytes:
    return f'[{{"ev":"status","status":"{name}","message":"{message}"}}]'.encode()


@pytest.mark.parametrize("name", sorted(EVICTIONS))
def test_an_eviction_is_told_with_the_services_words_and_what_to_do(name: str) -> None:
    told = advice(status(name, "Maximum number of websocket connections exceeded. "))
    assert told is not None
    assert told[0] == "Maximum number of websocket connections exceeded."
    assert "another connection with this key was made" in told[1]


def test_without_a_message_the_status_stands_for_the_words() -> None:
    assert advice(b'[{"ev":"","status":"disconnected"}]') == (
        "disconnected",
        advice(status("disconnected", "x"))[1],
    )  # type: ignore[index]


def test_a_slow_reader_is_told_to_read_faster() -> None:
    told = advice(status("slow_consumer", "Slow consumer."))
    assert told is not None
    assert told[1].startswith("it was not read fast enough")


def test_it_may_stand_behind_data_in_one_frame() -> None:
    frame = b'[{"ev":"T","sym":"A"},' + status("max_connections", "no")[1:]
    assert advice(frame) is not None


@pytest.mark.parametrize(
    "payload",
    [
        status("success", "subscribed to: T.A"),
        b'[{"ev":"T","sym":"A"}]',
        b'{"status":"max_connections"}',
        b"",
        b'"status"',
    ],
)
def test_anything_else_announces_no_end(payload: bytes) -> None:
    assert advice(payload) is None
