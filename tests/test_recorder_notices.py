"""What the recorder says has passed redaction, and so have the log lines around it."""

from __future__ import annotations

import logging

import pytest

from tickdeck.recorder.notices import Acknowledged, Listening, Progress, Trouble, cleaned
from tickdeck.recorder.quietlogs import redacted_logs


def clean_text(text: str) -> str:
    return text.replace("SECRET", "REDACTED-1")


def test_every_text_of_a_notice_is_cleaned() -> None:
    assert cleaned(Trouble("no SECRET here"), clean_text) == Trouble("no REDACTED-1 here")
    assert cleaned(Acknowledged(("T.SECRET", "T.A")), clean_text) == Acknowledged(("T.REDACTED-1", "T.A"))


def test_numbers_stay_as_they_are() -> None:
    progress = Progress(frames=1, bytes=2, interactions=3, tracks=4, tracks_open=5, pauses=6)
    assert cleaned(progress, clean_text) == progress


def test_a_notice_gives_its_parts_for_a_json_line() -> None:
    listening = Listening("http://127.0.0.1:1", "ws://127.0.0.1:1", "127.0.0.1:1")
    assert listening.kind == "listening"
    assert listening.values() == {
        "http": "http://127.0.0.1:1",
        "ws": "ws://127.0.0.1:1",
        "feed": "127.0.0.1:1",
    }


def test_a_log_line_and_its_traceback_lose_their_secrets(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("aiohttp.server")
    with redacted_logs(clean_text), caplog.at_level(logging.DEBUG):
        try:
            raise ValueError("SECRET in the error")
        except ValueError:
            logger.exception("request with %s", "SECRET")
    assert "request with REDACTED-1" in caplog.text
    assert "REDACTED-1 in the error" in caplog.text
    assert "SECRET" not in caplog.text


def test_afterwards_the_loggers_are_as_they_were() -> None:
    logger = logging.getLogger("tickdeck.recorder")
    before = list(logger.filters)
    with redacted_logs(clean_text):
        assert logger.filters != before
    assert logger.filters == before
