"""`tickdeck why` of a request: which recording answers it, or answered it in a run, or what it lacked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.records import Header, Interaction
from tickdeck.cli import main
from tickdeck.mockserver.harness import MockServer, PlainMarket
from tickdeck.mockserver.requestwhy import Outcome
from tickdeck.testing.tapes import tape

NOW, TRADES = "/v1/marketstatus/now", "/v3/trades/AAPL?limit=10"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The market opens, and some trades are asked for."""
    made = tape().at("09:29:59").rest("GET", NOW, {"market": "closed"})
    made.at("09:30:00").rest("GET", NOW, {"market": "open"}).rest("GET", TRADES, {"results": []})
    return made.write(tmp_path_factory.mktemp("why") / "day.cassette")


def ask(market: PlainMarket, target: str, fields: Mapping[str, str] | None = None) -> int:
    request = Request(
        market.http_url + target, headers={"Authorization": "Bearer a-key-of-today", **(fields or {})}
    )
    try:
        with urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


@pytest.fixture(scope="module")
def run(day: Path) -> Path:
    """What was asked of it, and became of it."""
    path = day.with_name("run.cassette")
    with MockServer(day, journal=path, ignore="query:_", reject_keys=["bad"]) as market:
        market.stub("GET /v1/own", {})
        targets = (f"{NOW}?_=1", TRADES, f"{TRADES}&cursor=AbC123", "/v1/own", f"{TRADES}&apiKey=bad")
        assert [ask(market, each) for each in targets] == [200, 200, 404, 200, 401]
    return path


def why(*arguments: object) -> int:
    return main(["why", *map(str, arguments)])


def test_without_a_run_every_recording_of_the_request_is_named(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why(day, f"GET {NOW}") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"GET {NOW} is answered by interaction 0 of 2020-01-02 09:29:59.000 EST: 200, 19 B",
        f"GET {NOW} is answered by interaction 1 of 2020-01-02 09:30:00.000 EST: 200, 17 B",
    ]


def test_what_a_request_lacks_is_said_and_the_exit_code_is_1(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why(day, f"get https://api.massive.com{TRADES}&cursor=AbC123&apiKey=secret-of-mine") == 1
    assert capsys.readouterr().out == (
        "no recording of GET /v3/trades/AAPL?cursor=AbC123&limit=10; "
        "nearest: the same path without cursor=AbC123; to leave it aside: --ignore query:cursor\n"
    )
    assert why(day, f"GET {TRADES}&cursor=AbC123", "--ignore", "query:cursor") == 0


def test_what_is_said_to_leave_aside_comes_to_what_the_settings_do(
    day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tickdeck.toml").write_text('[why]\nignore = ["query:_"]\n')
    monkeypatch.chdir(tmp_path)
    assert why(day, f"GET {TRADES}&_=1") == 0
    assert why(day, f"GET {TRADES}&_=1&cursor=AbC123", "--ignore", "query:cursor") == 0
    assert why(day, f"GET {TRADES}&_=1&cursor=AbC123&b=1", "--ignore", "query:cursor") == 1


def test_a_refusal_of_a_bad_key_is_no_answer_of_the_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ((b"Authorization", b"Bearer a-key-of-sixteen-letters"),)
    url = f"https://api.massive.com{NOW}"
    records = [
        Interaction(0, 0, 0, 0, 0, "GET", url, 401),
        Interaction(1, 1, 1, 1, 1, "GET", url, 200, request_headers=key, body=b"{}"),
    ]
    path = tmp_path / "x.cassette"
    make_cassette(path, Header(1_577_975_400_000_000_000), records, replace=False)
    assert why(path, f"GET {NOW}") == 0
    assert re.findall(r"interaction (\d).*: (\d+),", capsys.readouterr().out) == [("1", "200")]


def test_a_key_in_the_question_is_printed_nowhere(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "the-secret-key-of-mine"
    for flags in ((), ("--json",)):
        why(day, f"GET /v9/{key}?apiKey={key}", *flags)
        said = capsys.readouterr()
        assert key not in said.out + said.err
        assert "REDACTED-1" in said.out


@pytest.mark.parametrize(
    ("question", "code", "outcome", "words"),
    [
        (
            f"GET {NOW}",
            0,
            "answered",
            "was answered by interaction 0 of 2020-01-02 09:29:59.000 EST: 200, 19 B",
        ),
        ("GET /v1/own", 0, "stubbed", "was answered by a stub: 200"),
        (
            f"GET {TRADES}&cursor=AbC123",
            1,
            "missed",
            (
                "was not answered: no recording of GET /v3/trades/AAPL?cursor=AbC123&limit=10; nearest: the same "
                "path without cursor=AbC123; to leave it aside: --ignore query:cursor"
            ),
        ),
        (
            "GET /v3/trades/AAPL",
            1,
            "not-asked",
            (
                "nobody asked GET /v3/trades/AAPL in run.cassette; asked of this path were "
                "GET /v3/trades/AAPL?limit=10, GET /v3/trades/AAPL?cursor=AbC123&limit=10; "
                "no recording of GET /v3/trades/AAPL; nearest: the same path with limit=10"
            ),
        ),
    ],
)
def test_with_a_run_it_is_said_what_became_of_the_request(
    day: Path,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    question: str,
    code: int,
    outcome: str,
    words: str,
) -> None:
    assert why(day, run, question) == code
    assert capsys.readouterr().out.endswith(f"{words}\n")
    assert why(day, run, question, "--json") == code
    line = json.loads(capsys.readouterr().out)
    assert (line["kind"], line["outcome"], line["answered"]) == ("why-request", outcome, code == 0)
    assert line["sentence"].endswith(words)


def test_each_time_that_a_request_was_made_is_told(
    day: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why(day, run, f"GET {TRADES}", "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["outcome"], line["status"]) for line in lines] == [("answered", 200), ("refused", 401)]
    assert lines[0]["interaction"] == 2
    assert lines[0]["recorded_at"] == "2020-01-02T14:30:00.000000Z"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("T.AAPL@09:30",),
            "what became of 'T.AAPL@09:30' is asked of a run: tickdeck why TAPE RUN T.AAPL@09:30",
        ),
        (
            (f"GET {NOW}", "--all"),
            "--client and --all are about events; a request is told of each time it was made",
        ),
        ((f"GET {NOW}", "--ignore", "x"), "ignore wants query:NAME, header:NAME or json:PATH, not 'x'"),
    ],
)
def test_a_question_that_makes_no_sense_is_2(
    day: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert why(day, *arguments) == 2
    assert capsys.readouterr().err == f"tickdeck: {sentence}\n"


def test_a_part_and_what_was_redacted_in_a_path_are_found_by_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, path = {"range": "bytes=0-1"}, tmp_path / "parts.cassette"
    fields = tuple((name.encode(), value.encode()) for name, value in asked.items())
    part = Interaction(
        *(0, 0, 0, 0, 0, "GET", "https://api.massive.com/keys/REDACTED-1", 206),
        request_headers=fields,
        body=b"01",
    )
    make_cassette(path, Header(0), [part], replace=False)
    assert why(path, "GET /keys/live") == 0
    assert capsys.readouterr().out == (
        "GET /keys/live is answered by interaction 0 of 1969-12-31 19:00:00.000 EST: 206, 2 B, "
        "made with range: bytes=0-1\n"
    )


def test_recordings_of_one_request_are_told_by_the_fields_that_they_were_made_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tape().at("09:30:00").rest("GET", "/f", {}).rest("GET", "/f", "a,b", content_type="text/csv")
    path, run = made.write(tmp_path / "f.cassette"), tmp_path / "run.cassette"
    with MockServer(path, journal=run) as market:
        assert ask(market, "/f", {"Range": "bytes=0-1"}) == 200
    assert why(path, run, "GET /f") == 0
    assert "; it was a variant, made without range" in capsys.readouterr().out


def test_its_line_is_documented_field_by_field(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why(day, f"GET {TRADES}", "--json")
    line = json.loads(capsys.readouterr().out)
    page = (Path(__file__).parents[1] / "docs" / "why.md").read_text(encoding="utf-8")
    row = re.search(r"^\| `why-request` \| (.*) \|$", page, re.M)
    assert row is not None
    assert line.keys() - {"kind", "v", "time"} == set(re.findall(r"`(\w+)`", row[1]))
    assert all(f"`{each}`" in page for each in Outcome)
