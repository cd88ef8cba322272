"""Recordings of one request that were made with different header fields."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.asked import Asked, Rules
from tickdeck.mockserver.fields import quality
from tickdeck.mockserver.ignoring import parse_ignored, parse_matched
from tickdeck.mockserver.misses import Miss
from tickdeck.mockserver.repeats import Repeats, Visits
from tickdeck.mockserver.shelf import Found, Shelf

PARTIAL, NOT_MODIFIED, FAILED, UNSATISFIABLE = 206, 304, 412, 416


def pairs(fields: dict[str, str]) -> HeaderPairs:
    return tuple((name.encode(), value.encode()) for name, value in fields.items())


def made(
    seq: int,
    fields: dict[str, str] | None = None,
    *,
    status: int = 200,
    vary: str = "",
    kind: str = "",
    url: str = "/file",
) -> Interaction:
    """A recording of one request, made with these header fields."""
    answered = {"Vary": vary, "Content-Type": kind}
    return Interaction(
        *(seq, seq, seq, seq, seq, "GET", f"https://api.polygon.io{url}", status),
        request_headers=pairs(fields or {}),
        response_headers=pairs({name: value for name, value in answered.items() if value}),
    )


def shelf_of(*interactions: Interaction, ignore: Iterable[str] = (), match: Iterable[str] = ()) -> Shelf:
    rules = Rules(
        ignored=parse_ignored(ignore), bound=parse_matched(match), secret_headers=POLYGON.places.headers
    )
    return Shelf(interactions, rules=rules)


def ask(
    shelf: Shelf, fields: dict[str, str] | None = None, *, method: str = "GET", visits: Visits | None = None
) -> Found | Miss:
    asked = Asked.of(method, "/file", headers=pairs(fields or {}))
    return shelf.find(asked, repeats=Repeats.IN_ORDER, position_ns=0, visits=visits or Visits())


def exact(answer: Found | Miss) -> int:
    assert isinstance(answer, Found), answer
    assert answer.variant == ""
    return answer.interaction.seq


def variant(answer: Found | Miss) -> tuple[int, str]:
    assert isinstance(answer, Found), answer
    assert answer.variant
    return answer.interaction.seq, answer.variant


def missed(answer: Found | Miss) -> str:
    assert isinstance(answer, Miss), answer
    return answer.sentence


JSON, CSV = {"Accept": "application/json"}, {"accept": "text/csv"}


def test_a_field_that_vary_names_chooses() -> None:
    shelf = shelf_of(made(1, JSON, vary="Accept-Encoding, ACCEPT"), made(2, CSV))
    for _ in range(2):
        assert exact(ask(shelf, {"ACCEPT": " text/csv "})) == 2
        assert exact(ask(shelf, JSON)) == 1


def test_where_no_field_agrees_another_recording_answers_and_is_a_variant() -> None:
    shelf = shelf_of(made(1, JSON, vary="Accept"), made(2, CSV, vary="Accept"))
    assert variant(ask(shelf, {"Accept": "text/html"})) == (1, "made with accept: application/json")
    assert variant(ask(shelf)) == (1, "made with accept: application/json")


def test_of_variants_the_one_that_the_client_would_rather_read_answers() -> None:
    shelf = shelf_of(
        made(1, JSON, vary="Accept", kind="application/json"),
        made(2, CSV, vary="Accept", kind="text/csv; charset=utf-8"),
    )
    assert variant(ask(shelf, {"Accept": "text/*, application/json;q=0.5"}))[0] == 2
    assert variant(ask(shelf, {"Accept": "text/csv;q=0.1,*/*;q=0.2"}))[0] == 1


def test_answers_in_several_media_types_were_chosen_by_accept_also_where_they_do_not_say_so() -> None:
    shelf = shelf_of(made(1, JSON, kind="application/json"), made(2, CSV, kind="text/csv"))
    assert [exact(ask(shelf, each)) for each in (CSV, JSON, CSV)] == [2, 1, 2]


def test_a_field_that_no_answer_names_does_not_choose() -> None:
    shelf, visits = shelf_of(made(1, {"X-Trace": "a"}), made(2, {"X-Trace": "b"})), Visits()
    assert [exact(ask(shelf, {"X-Trace": "b"}, visits=visits)) for _ in range(3)] == [1, 2, 2]


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Cookie", "User-Agent", "Origin", "Accept-Encoding", "X-Api-Key", "X-Session-Token"],
)
def test_fields_that_differ_from_client_to_client_never_take_part(name: str) -> None:
    shelf, visits = (
        shelf_of(made(1, {name: "a"}, vary=name), made(2, {name: "b"}, vary=f"{name}, *")),
        Visits(),
    )
    assert [exact(ask(shelf, {name: "c"}, visits=visits)) for _ in range(2)] == [1, 2]


def test_a_part_answers_who_asked_for_it() -> None:
    first, second = {"Range": "bytes=0-9"}, {"Range": "bytes=10-19"}
    shelf = shelf_of(made(1, first, status=PARTIAL), made(2, second, status=PARTIAL), made(3))
    assert [exact(ask(shelf, each)) for each in (second, first, {})] == [2, 1, 3]
    assert variant(ask(shelf, {"Range": "bytes=20-"})) == (3, "made without range")


@pytest.mark.parametrize("tag", ['"a"', 'W/"a"', '"a" , "b"'])
def test_not_modified_answers_who_has_the_same(tag: str) -> None:
    has = {"If-None-Match": '"b", W/"a"' if "b" in tag else '"a"'}
    shelf = shelf_of(made(1), made(2, has, status=NOT_MODIFIED))
    assert exact(ask(shelf, {"if-none-match": tag})) == 2
    assert exact(ask(shelf)) == 1
    assert variant(ask(shelf, {"If-None-Match": '"other"'}))[0] == 1
    assert variant(ask(shelf, {"If-Modified-Since": "Thu, 02 Jan 2020 14:30:00 GMT"}))[0] == 1


@pytest.mark.parametrize(
    ("status", "field"),
    [
        (PARTIAL, "Range"),
        (NOT_MODIFIED, "If-None-Match"),
        (NOT_MODIFIED, "If-Modified-Since"),
        (FAILED, "If-Match"),
        (FAILED, "If-Unmodified-Since"),
        (UNSATISFIABLE, "Range"),
    ],
)
def test_what_only_a_field_brings_about_never_answers_a_request_without_it(status: int, field: str) -> None:
    shelf = shelf_of(made(1, {field: "a"}, status=status))
    assert (
        missed(ask(shelf)) == f"no recording of GET /file; nearest: the same request with {field.lower()}: a"
    )
    assert missed(ask(shelf, {field: "b"})) == (
        f"no recording of GET /file with {field.lower()}: b; "
        f"nearest: the same request with {field.lower()}: a"
    )
    assert exact(ask(shelf, {field: "a"})) == 1
    assert isinstance(ask(shelf_of(made(1, {field: "a"}, status=status), ignore=[f"header:{field}"])), Miss)


def test_a_part_is_never_an_answer_though_its_request_says_nothing_of_a_range() -> None:
    assert isinstance(ask(shelf_of(made(1, status=PARTIAL))), Miss)


def test_a_condition_that_came_to_nothing_got_the_whole_answer() -> None:
    shelf = shelf_of(made(1, {"If-None-Match": '"old"'}))
    assert variant(ask(shelf)) == (1, 'made with if-none-match: "old"')


def test_repeats_are_counted_among_those_that_agree() -> None:
    shelf = shelf_of(
        *(made(seq, JSON if seq % 2 else CSV, vary="Accept") for seq in range(1, 5)),
    )
    visits = Visits()
    order = [JSON, CSV, JSON, CSV, JSON]
    assert [exact(ask(shelf, each, visits=visits)) for each in order] == [1, 2, 3, 4, 3]


def test_a_field_that_is_ignored_does_not_choose() -> None:
    shelf, visits = shelf_of(made(1, JSON, vary="Accept"), made(2, CSV), ignore=["header:ACC*"]), Visits()
    assert [exact(ask(shelf, JSON, visits=visits)) for _ in range(2)] == [1, 2]


def test_a_head_is_answered_as_the_get_with_its_fields() -> None:
    shelf = shelf_of(made(1, JSON, vary="Accept"), made(2, CSV, vary="Accept"))
    assert exact(ask(shelf, CSV, method="HEAD")) == 2


def test_a_field_that_must_match_makes_a_miss() -> None:
    shelf = shelf_of(made(1, {"X-Plan": "gold"}), made(2, {"X-Plan": "basic"}), match=["header:x-plan"])
    assert exact(ask(shelf, {"x-PLAN": "basic"})) == 2
    assert missed(ask(shelf, {"X-Plan": "none"})) == (
        "no recording of GET /file; nearest: the same request with x-plan: gold"
    )
    assert missed(ask(shelf)) == "no recording of GET /file; nearest: the same request with x-plan: gold"


def test_a_client_can_be_told_by_its_name_where_that_is_wanted() -> None:
    shelf = shelf_of(made(1, {"User-Agent": "a"}), made(2, {"User-Agent": "b"}), match=["header:User-Agent"])
    assert exact(ask(shelf, {"User-Agent": "b"})) == 2


def test_credentials_are_bound_by_no_pattern() -> None:
    fields = {"Authorization": "Bearer REDACTED-1", "X-Api-Key": "REDACTED-1", "Cookie": "a=REDACTED-2"}
    shelf = shelf_of(made(1, {**fields, "X-Plan": "gold"}), match=["header:*"])
    assert exact(ask(shelf, {"X-Plan": "gold", "Authorization": "Bearer live", "Cookie": "a=live"})) == 1


@pytest.mark.parametrize(
    "text",
    ["query:limit", "header:", "Accept", "header:Cookie", "header:authorization", "header:X-My-Secret"],
)
def test_what_cannot_be_matched_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^match (wants|cannot have) header:"):
        parse_matched([text])


@pytest.mark.parametrize(
    "text", ["limit", "query:", "cookie:a", "json:id", "json:$", "json:$.a..", "json:$[a]"]
)
def test_what_cannot_be_ignored_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^ignore wants query:NAME|is no JSON path; write \$\.id"):
        parse_ignored([text])


@pytest.mark.parametrize(
    ("accept", "media_type", "welcome"),
    [
        ("*/*", "text/csv", 1.0),
        ("text/*;q=0.3, text/csv ; q=0.7", "text/csv", 0.7),
        ("text/*;q=0.3", "text/html", 0.3),
        ("application/json", "text/csv", 0.0),
        ("text/csv;q=1.2.3", "text/csv", 1.0),
        ("", "text/csv", 0.0),
    ],
)
def test_how_welcome_a_media_type_is(accept: str, media_type: str, welcome: float) -> None:
    assert quality(accept, media_type) == welcome
