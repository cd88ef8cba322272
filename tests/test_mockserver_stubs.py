"""Answers laid over the cassette."""

from __future__ import annotations

from pathlib import Path

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.mockserver.asked import Asked, Rules
from tickdeck.mockserver.ignoring import parse_ignored
from tickdeck.mockserver.stubbing import stubs_of
from tickdeck.mockserver.stubs import Stub, Stubs

OPEN = Stub(b'{"market":"open"}')
JSON = (b"Content-Type", b"application/json")
RULES = Rules(secret_parameters=frozenset({"apikey"}))


def found(stubs: Stubs, request: str) -> Stub | None:
    return stubs.find(Asked.of(*request.split(" ", 1)))


def test_without_a_stub_nothing_is_laid_over() -> None:
    assert found(Stubs(), "GET /v1/marketstatus/now") is None


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
    stubs = Stubs(RULES)
    stubs.lay(request_line, OPEN)
    assert found(stubs, "GET /v1/marketstatus/now") is OPEN
    assert found(stubs, "get /v1/marketstatus%2Fnow") is None
    assert found(stubs, "POST /v1/marketstatus/now") is None
    assert found(stubs, "GET /v1/marketstatus") is None


def test_a_stub_that_nobody_asked_for_is_named() -> None:
    stubs = stubs_of({"GET /a/b?x=1": b"", "POST /a/b": b""})
    assert stubs.unused() == ["GET /a/b?x=1", "POST /a/b"]
    found(stubs, "GET /a/b?x=1")
    found(stubs, "GET /never/laid")
    assert stubs.unused() == ["POST /a/b"]
    stubs.reset()
    assert stubs.unused() == ["GET /a/b?x=1", "POST /a/b"]


def test_a_stub_can_be_replaced_and_taken_away_again() -> None:
    stubs = Stubs()
    stubs.lay("GET /a", None)
    stubs.lay("GET /a", OPEN)
    stubs.lay("GET /a", Stub(b"", status=503))
    laid = found(stubs, "GET /a")
    assert laid is not None
    assert laid.status == 503
    stubs.lay("GET /a?b=1", None)
    assert found(stubs, "GET /a") is laid
    stubs.lay("GET /a", None)
    assert found(stubs, "GET /a") is None


@pytest.mark.parametrize("request_line", ["", "GET", "/v1/now", "GET v1/now", "GET  /v1/now", "G3T /v1/now"])
def test_what_is_no_request_is_named(request_line: str) -> None:
    with pytest.raises(UsageError) as refused:
        Stubs().lay(request_line, OPEN)
    assert str(refused.value) == (
        f"{request_line.strip()!r} is no request to answer; write 'GET /v1/marketstatus/now', "
        "or with x2 behind it for the next two times"
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
    stubs = stubs_of({"GET /a": str(tmp_path / name)})
    assert found(stubs, "GET /a") == Stub(b"\x00body", 200, ((b"Content-Type", kind),))


def test_a_body_given_as_bytes_is_json() -> None:
    assert found(stubs_of({"GET /a": b"{}"}), "GET /a") == Stub(b"{}", 200, (JSON,))


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        stubs_of({"GET /a": str(tmp_path / "none.json")})
    assert str(refused.value) == (
        f"the stub for GET /a cannot be read: {tmp_path}/none.json: no such file or directory"
    )


def test_a_stub_without_a_query_answers_any_and_one_with_a_query_that_one() -> None:
    stubs = stubs_of({"GET /a": b"any", "GET /a?limit=1&sort=asc": b"one", "GET /a?": b"none"}, rules=RULES)
    asked = ("GET /a?limit=2", "GET /a?sort=asc&apiKey=k&limit=1", "GET /a", "GET /a?apiKey=k")
    assert [each.body for request in asked if (each := found(stubs, request))] == [
        b"any",
        b"one",
        b"none",
        b"none",
    ]


@pytest.mark.parametrize("query", ["apiKey=k", "", "_=1"])
def test_a_stub_with_a_query_of_which_nothing_takes_part_answers_the_request_without_parameters(
    query: str,
) -> None:
    rules = Rules(secret_parameters=RULES.secret_parameters, ignored=parse_ignored(["query:_"]))
    stubs = stubs_of({f"GET /a?{query}": b""}, rules=rules)
    assert [found(stubs, f"GET /a{asked}") is not None for asked in ("", "?apikey=z&_=2", "?limit=1")] == [
        True, True, False
    ]  # fmt: skip


def test_a_head_is_answered_by_the_stub_of_its_get_where_none_is_for_it() -> None:
    stubs = stubs_of({"GET /a": b"get", "GET /b": b"get", "HEAD /b": b"head", "POST /c": b""})
    assert [each and each.body for each in (found(stubs, f"HEAD /{path}") for path in "abc")] == [
        b"get", b"head", None
    ]  # fmt: skip


def test_what_is_ignored_of_a_query_takes_no_part_for_stubs_either() -> None:
    stubs = stubs_of({"GET /a?limit=1": b""}, rules=Rules(ignored=parse_ignored(["query:_"])))
    assert found(stubs, "GET /a?limit=1&_=77") is not None
    assert found(stubs, "GET /a?limit=1&b=77") is None


@pytest.mark.parametrize("stubs", [{"GET /a x2": b"busy"}, {"GET /a": {"body": "busy", "times": 2}}])
def test_a_stub_can_be_given_a_number_of_times(stubs: dict[str, object]) -> None:
    laid = stubs_of({**stubs, "GET /a?b=1": {"times": 1, "body": "first"}})
    assert [each and each.body for each in (found(laid, "GET /a?b=1") for _ in range(4))] == [
        b"first", b"busy", b"busy", None
    ]  # fmt: skip
    laid.reset()
    assert found(laid, "GET /a") is not None
    laid.lay("GET /a x1", OPEN)
    assert [found(laid, "GET /a") is None for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("words", "stub"),
    [
        ({"body": {"a": 1}}, Stub(b'{"a":1}', 200, (JSON,))),
        ({"status": 429}, Stub(b"", 429, (JSON,))),
        (
            {"status": 429, "headers": {"Retry-After": 1, "X-A": "b"}, "times": 3},
            Stub(b"", 429, (JSON, (b"Retry-After", b"1"), (b"X-A", b"b")), 3),
        ),
        (
            {"headers": {"Content-Length": 99, "Transfer-Encoding": "chunked", "X-A": "b"}},
            Stub(b"", 200, (JSON, (b"X-A", b"b"))),
        ),
        (
            {"headers": {"content-type": "text/csv"}, "body": "a"},
            Stub(b"a", 200, ((b"content-type", b"text/csv"),)),
        ),
    ],
)
def test_a_stub_in_words(words: dict[str, object], stub: Stub) -> None:
    assert found(stubs_of({"GET /a": words}), "GET /a") == stub


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"status": 99}, "an answer has a status from 200 to 599, not 99"),
        ({"status": "429"}, "an answer has a status from 200 to 599, not '429'"),
        ({"times": 0}, "times is how often an answer is given, from 1 up, not 0"),
        ({"times": True}, "times is how often an answer is given, from 1 up, not True"),
        ({"headers": ["a"]}, "headers is a mapping of names to texts, not ['a']"),
        ({"headers": {"a b": "c"}}, "the name of a header field has no spaces"),
        ({"headers": {"a": "c\r\nd: e"}}, "the field a is printable ASCII, not 'c\\r\\nd: e'"),
        (
            {"code": 429},
            "the stub for GET /a has code, which is none of body, content_type, headers, status, times",
        ),
    ],
)
def test_words_that_are_no_answer_are_refused(words: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        stubs_of({"GET /a": words})
    assert str(refused.value).startswith(sentence)


BUSY: HeaderPairs = ((b"Retry-After", b"1"), (b"Content-Type", b"text/plain"))


@pytest.mark.parametrize("line", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    ("head", "body", "stub"),
    [
        (
            [
                b"HTTP/1.1 429 Too Many Requests",
                b"Retry-After: 1",
                b"Content-Type:text/plain ",
                b"Content-Length: 9",
            ],
            b"busy\n\nHTTP",
            Stub(b"busy\n\nHTTP", 429, BUSY),
        ),
        ([b"HTTP/2 503"], b"", Stub(b"", 503, (JSON,))),
        ([b"HTTP/1.0 200 OK", b"transfer-encoding: chunked"], b"{}", Stub(b"{}", 200, (JSON,))),
    ],
)
def test_a_file_can_hold_a_whole_answer(
    tmp_path: Path, line: bytes, head: list[bytes], body: bytes, stub: Stub
) -> None:
    path = tmp_path / "busy.http"
    path.write_bytes(line.join([*head, b"", body]))
    assert found(stubs_of({"GET /a": str(path)}), "GET /a") == stub


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"HTTP/1.1 200", "line 1 is no status line such as HTTP/1.1 429 Too Many Requests"),
        (b"HTTP/1.1 OK\n\n", "line 1 is no status line such as HTTP/1.1 429 Too Many Requests"),
        (b"HTTP/1.1 200 OK\na: b\nbody\n", "line 3 is no header field such as Retry-After: 1"),
        (b"HTTP/1.1 100 Continue\n\n", "an answer has a status from 200 to 599, not 100"),
    ],
)
def test_a_file_that_is_no_whole_answer_is_one_sentence(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        stubs_of({"GET /a": str(tmp_path / "x")})
    assert str(refused.value).endswith(sentence)
