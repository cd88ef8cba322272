"""Answers laid over the cassette."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.stubs import Stub, Stubs, stubs_of

OPEN = Stub(b'{"market":"open"}')


def test_without_a_stub_nothing_is_laid_over() -> None:
    assert Stubs().find("GET", "/v1/marketstatus/now") is None


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /v1/marketstatus/now",
        "get /v1/marketstatus/now",
        " GET /v1/marketstatus/now ",
        "GET /v1/marketstatus/now?apiKey=any",
        "GET /v1/%6darketstatus/now",
    ],
)
def test_two_spellings_of_one_request_are_one_request(request_line: str) -> None:
    stubs = Stubs()
    stubs.lay(request_line, OPEN)
    assert stubs.find("GET", "/v1/marketstatus/now") is OPEN
    assert stubs.find("get", "/v1/marketstatus%2Fnow") is None
    assert stubs.find("POST", "/v1/marketstatus/now") is None
    assert stubs.find("GET", "/v1/marketstatus") is None


def test_a_stub_that_nobody_asked_for_is_named() -> None:
    stubs = stubs_of({"GET /a/b?x=1": b"", "POST /a/b": b""})
    assert stubs.unused() == ["GET /a/b", "POST /a/b"]
    stubs.find("GET", "/a/b")
    stubs.find("GET", "/never/laid")
    assert stubs.unused() == ["POST /a/b"]
    stubs.reset()
    assert stubs.unused() == ["GET /a/b", "POST /a/b"]


def test_a_stub_can_be_replaced_and_taken_away_again() -> None:
    stubs = Stubs()
    stubs.lay("GET /a", None)
    stubs.lay("GET /a", OPEN)
    stubs.lay("GET /a", Stub(b"", status=503))
    found = stubs.find("GET", "/a")
    assert found is not None
    assert found.status == 503
    stubs.lay("GET /a?b=1", None)
    assert stubs.find("GET", "/a") is None


@pytest.mark.parametrize("request_line", ["", "GET", "/v1/now", "GET v1/now", "GET  /v1/now", "G3T /v1/now"])
def test_what_is_no_request_is_named(request_line: str) -> None:
    with pytest.raises(UsageError) as refused:
        Stubs().lay(request_line, OPEN)
    assert str(refused.value) == (
        f"{request_line.strip()!r} is no request to answer; write 'GET /v1/marketstatus/now'"
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("open.json", b"application/json"),
        ("trades.csv", b"text/csv"),
        ("page.html", b"text/html"),
        ("body", b"application/json"),
    ],
)
def test_a_body_from_a_file_has_the_type_that_its_name_says(tmp_path: Path, name: str, kind: bytes) -> None:
    (tmp_path / name).write_bytes(b"\x00body")
    found = stubs_of({"GET /a": str(tmp_path / name)}).find("GET", "/a")
    assert found == Stub(b"\x00body", 200, ((b"Content-Type", kind),))


def test_a_body_given_as_bytes_is_json() -> None:
    assert stubs_of({"GET /a": b"{}"}).find("GET", "/a") == Stub(
        b"{}", 200, ((b"Content-Type", b"application/json"),)
    )


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        stubs_of({"GET /a": str(tmp_path / "none.json")})
    assert str(refused.value) == (
        f"the stub for GET /a cannot be read: {tmp_path}/none.json: no such file or directory"
    )
