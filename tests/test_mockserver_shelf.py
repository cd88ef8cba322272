from __future__ import annotations

import gzip
import shlex
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.asked import Asked, Rules
from tickdeck.mockserver.ignoring import parse_ignored
from tickdeck.mockserver.misses import Miss
from tickdeck.mockserver.repeats import Repeats, Timing, Visits
from tickdeck.mockserver.shelf import Found, Shelf

SECRETS = frozenset({"apikey", "key_id"})
FIELDS = frozenset({"apikey", "password"})
SECOND = 1_000_000_000


def recorded(
    seq: int,
    url: str,
    *,
    method: str = "GET",
    end_ns: int = 0,
    status: int = 200,
    body: bytes = b"",
    headers: HeaderPairs = (),
) -> Interaction:
    return Interaction(
        seq=seq,
        offset_ns=end_ns,
        first_byte_ns=end_ns,
        end_ns=end_ns,
        interaction=seq,
        method=method,
        url=f"https://api.polygon.io{url}",
        status=status,
        request_body=body,
        request_headers=headers,
    )


def shelf_of(*interactions: Interaction, zero_ns: int = 0, ignore: Iterable[str] = ()) -> Shelf:
    rules = Rules(
        secret_parameters=SECRETS,
        secret_fields=FIELDS,
        harmless=POLYGON.is_harmless,
        ignored=parse_ignored(ignore),
    )
    return Shelf(interactions, rules=rules, zero_ns=zero_ns)


def ask(
    shelf: Shelf,
    target: str,
    *,
    method: str = "GET",
    repeats: Repeats = Repeats.IN_ORDER,
    position_ns: int = 0,
    visits: Visits | None = None,
    body: bytes = b"",
    headers: HeaderPairs = (),
) -> Found | Miss:
    asked = Asked.of(method, target, headers=headers, body=body)
    return shelf.find(asked, repeats=repeats, position_ns=position_ns, visits=visits or Visits())


def found(answer: Found | Miss) -> int:
    assert isinstance(answer, Found), answer
    return answer.interaction.seq


def missed(answer: Found | Miss) -> str:
    assert isinstance(answer, Miss), answer
    return answer.sentence


def test_a_target_is_taken_apart_raw() -> None:
    assert Asked.of("GET", "/a%20b?x=1&y&&z=%20") == Asked(
        "GET", "/a%20b", (("x", "1"), ("y", ""), ("z", "%20"))
    )


def test_an_absolute_address_is_a_path_and_a_query() -> None:
    assert Asked.of("GET", "https://api.polygon.io?x=1#part") == Asked("GET", "/", (("x", "1"),))


@pytest.mark.parametrize(
    "target",
    [
        "/v3/trades/BRK.B?limit=10&sort=asc",
        "/v3/trades/BRK%2EB?sort=asc&limit=10",
        "/v3/trades/BRK.B?limit=1%30&sort=asc&apiKey=whatever",
        "/v3/trades/BRK.B?limit=10&sort=asc&APIKEY=a&key_id=b&apiKey[]=c&apikey%5B1%5D=d",
        "/v3/trades/BRK.B?limit=10&sort=asc&staging=true",
    ],
)
def test_spelling_order_secrets_and_harmless_parameters_do_not_matter(target: str) -> None:
    shelf = shelf_of(recorded(1, "/v3/trades/BRK.B?apiKey=REDACTED-1&limit=10&sort=asc"))
    assert found(ask(shelf, target)) == 1


def test_a_space_may_be_a_plus() -> None:
    shelf = shelf_of(recorded(1, "/search?q=brk+b"))
    assert found(ask(shelf, "/search?q=brk%20b")) == 1


def test_numbers_and_booleans_are_taken_as_they_are_spelled() -> None:
    shelf = shelf_of(recorded(1, "/v2/aggs?adjusted=true"))
    assert isinstance(ask(shelf, "/v2/aggs?adjusted=True"), Miss)


def test_an_encoded_slash_is_no_border() -> None:
    shelf = shelf_of(recorded(1, "/v1/C/EUR%2FUSD"))
    assert found(ask(shelf, "/v1/C/EUR%2fUSD")) == 1
    assert isinstance(ask(shelf, "/v1/C/EUR/USD"), Miss)


def test_bytes_that_are_no_text_match_themselves() -> None:
    shelf = shelf_of(recorded(1, "/v1/%FF?q=%fe"))
    assert found(ask(shelf, "/v1/%ff?q=%FE")) == 1


def test_equal_parameters_are_counted() -> None:
    shelf = shelf_of(recorded(1, "/v3/snapshot?ticker=A&ticker=A"))
    assert isinstance(ask(shelf, "/v3/snapshot?ticker=A"), Miss)
    assert isinstance(ask(shelf, "/v3/snapshot?ticker=A&ticker=A&ticker=A"), Miss)
    assert found(ask(shelf, "/v3/snapshot?ticker=A&ticker=A")) == 1


def test_a_recording_answers_its_own_query_and_no_other() -> None:
    shelf = shelf_of(recorded(1, "/t"), recorded(2, "/t?a=1&b=2"), recorded(3, "/t?a=1"))
    assert [found(ask(shelf, target)) for target in ("/t", "/t?b=2&a=1", "/t?a=1")] == [1, 2, 3]
    for target in ("/t?b=2", "/t?b=2&a=1&c=3", "/t?a", "/t?cursor=AbC123"):
        assert isinstance(ask(shelf, target), Miss)


@pytest.mark.parametrize("rule", ["query:cursor", "query:c*", "query:curso[qr]"])
def test_what_is_to_be_ignored_takes_no_part_on_either_side(rule: str) -> None:
    shelf = shelf_of(recorded(1, "/t?limit=1"), recorded(2, "/u?cursor=a"), ignore=[rule])
    assert found(ask(shelf, "/t?limit=1&cursor=AbC123&cursor=2")) == 1
    assert found(ask(shelf, "/u")) == 2
    assert isinstance(ask(shelf, "/t?limit=1&after=1"), Miss)
    assert isinstance(ask(shelf, "/t?cursor=1"), Miss)


JSON = ((b"Content-Type", b"application/json"),)
FORM = ((b"Content-Type", b"application/x-www-form-urlencoded"),)


def posted(seq: int, body: bytes, headers: HeaderPairs = JSON) -> Interaction:
    return recorded(seq, "/orders", method="POST", body=body, headers=headers)


def post(shelf: Shelf, body: bytes, headers: HeaderPairs = JSON) -> Found | Miss:
    return ask(shelf, "/orders", method="POST", body=body, headers=headers)


def test_two_bodies_to_one_path_get_their_own_answers() -> None:
    shelf = shelf_of(posted(1, b'{"symbol":"AAPL"}'), posted(2, b'{"symbol":"MSFT"}'))
    assert [found(post(shelf, each)) for each in (b'{"symbol":"MSFT"}', b'{"symbol":"AAPL"}')] == [2, 1]
    assert missed(post(shelf, b'{"symbol":"SPY"}')) == (
        "no recording of POST /orders; nearest: the same request with another body (it differs at $.symbol)"
    )


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b'{"a":{"b":[1,2]},"c":1}', "$.a.b[1]"),
        (b'{"a":{"b":[1]},"c":1}', "$.a.b[1]"),
        (b'{"a":{"b":[1,3],"x.y":0}}', "$.a['x.y'], $.c"),
        (b'{"a":7,"c":1,"line\\nbreak":1}', "$.a, $.line\\nbreak"),
    ],
)
def test_a_miss_by_its_body_names_the_places_and_never_what_stands_there(body: bytes, places: str) -> None:
    shelf = shelf_of(posted(1, b'{"a":{"b":[1,3]},"c":1}'))
    assert missed(post(shelf, body)).endswith(f"with another body (it differs at {places})")


@pytest.mark.parametrize(("body", "headers"), [(b"[1]", JSON), (b"text", ()), (b"", JSON)])
def test_a_miss_by_a_body_of_another_kind_names_no_place(body: bytes, headers: HeaderPairs) -> None:
    assert missed(post(shelf_of(posted(1, b'{"a":1}')), body, headers)).endswith("with another body")


def test_a_miss_by_a_form_names_its_fields() -> None:
    shelf = shelf_of(posted(1, b"a=1&b=2&b=3", FORM))
    assert missed(post(shelf, b"a=1&b=2", FORM)).endswith("with another body (it differs at $.b)")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"c":[1,2.50],"b":null},"q":"x y"}',
        b' {"q": "x\\u0020y", "a": {"b": null, "c": [1.0, 2.5]}}\n',
        b'{"a":{"c":[1,2.5],"b":null},"q":"x y","apiKey":"k"}',
        b'{"a":{"c":[1,25e-1],"b":null},"q":"x y","deep":1}',
    ],
)
def test_json_is_equal_whatever_its_spelling(body: bytes) -> None:
    shelf = shelf_of(
        posted(1, b'{"q":"x y","a":{"b":null,"c":[1,2.5]},"password":"REDACTED-2"}'), ignore=["json:$.deep"]
    )
    assert found(post(shelf, body)) == 1


@pytest.mark.parametrize(
    "body",
    [b'{"a":true}', b'{"a":"1"}', b'{"a":[1]}', b'{"a":1,"b":1}', b"{}", b"", b"{", b'{"a":1} x', b'{"a":2}'],
)
def test_other_json_is_another_question(body: bytes) -> None:
    assert isinstance(post(shelf_of(posted(1, b'{"a":1}')), body), Miss)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("$.id", b'{"id":2,"orders":[{"id":1},{"id":1}]}'),
        ("$.i*", b'{"orders":[{"id":1},{"id":1}]}'),
        ("$.id", b'{"id":2,"id":3,"orders":[{"id":1},{"id":1}]}'),
        ("$.orders[1].id", b'{"id":1,"orders":[{"id":1},{}]}'),
        ("$.orders[*].id", b'{"id":1,"orders":[{},{"id":7}]}'),
        ("$['orders'][0]", b'{"id":1,"orders":[0,{"id":1}]}'),
        ("$..id", b'{"id":7,"orders":[{"id":8},{"id":{"id":9}}]}'),
    ],
)
def test_a_path_leaves_a_part_of_the_body_aside(path: str, body: bytes) -> None:
    whole = b'{"id":1,"orders":[{"id":1},{"id":1}]}'
    assert found(post(shelf_of(posted(1, whole), ignore=[f"json:{path}"]), body)) == 1
    assert isinstance(post(shelf_of(posted(1, whole)), body), Miss)


def test_an_object_that_has_a_member_twice_is_no_other_one() -> None:
    shelf = shelf_of(posted(1, b'{"a":1,"b":0,"a":2}'), posted(2, b'{"a":2,"b":0}'))
    assert [found(post(shelf, body)) for body in (b'{"a":1,"a":2,"b":0}', b'{"b":0,"a":2}')] == [1, 2]
    assert isinstance(post(shelf, b'{"a":2,"a":1,"b":0}'), Miss)


def test_a_form_is_equal_in_any_order_but_for_secrets_and_what_is_ignored() -> None:
    shelf = shelf_of(
        posted(1, b"b=2+3&a=1&apiKey=REDACTED-1", FORM), posted(2, b"a=2", FORM), ignore=["json:$.nonce"]
    )
    assert found(post(shelf, b"a=1&b=2%203&nonce=77", FORM)) == 1
    assert found(post(shelf, b"nonce=78&a=2&apiKey=k", FORM)) == 2
    assert isinstance(post(shelf, b"a=1&a=1&b=2%203", FORM), Miss)


def test_other_bodies_are_equal_byte_by_byte() -> None:
    shelf = shelf_of(posted(1, b"\x00\xff", ()), posted(2, b"\x00\xfe", ()))
    assert found(post(shelf, b"\x00\xfe", ())) == 2
    assert isinstance(post(shelf, b"\x00", ()), Miss)


def test_a_multipart_body_is_equal_whatever_its_boundary() -> None:
    def body(boundary: bytes, value: bytes) -> tuple[bytes, HeaderPairs]:
        part = b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + value
        headers = ((b"Content-Type", b"multipart/form-data; boundary=" + boundary),)
        return b"--" + boundary + part + b"\r\n--" + boundary + b"--\r\n", headers

    shelf = shelf_of(posted(1, *body(b"x1", b"1")), posted(2, *body(b"x1", b"2")))
    assert found(post(shelf, *body(b"y2", b"2"))) == 2
    assert isinstance(post(shelf, *body(b"y2", b"3")), Miss)
    assert found(post(shelf, *body(b"a", b"1"))) == 1


def test_a_recorded_body_is_compared_without_its_coding() -> None:
    headers = (*JSON, (b"Content-Encoding", b"gzip"))
    shelf = shelf_of(posted(1, gzip.compress(b'{"a":1}'), headers))
    assert found(post(shelf, b'{"a":1}')) == 1


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/keys/REDACTED-1/trades", "/keys/live-secret-of-today/trades"),
        ("/t?session=REDACTED-3&limit=1", "/t?limit=1&session=abc"),
        ("/t?session=REDACTED-3-staging", "/t?session=abc"),
        ("/t?pair=a%3DREDACTED-3%3Bb&pair=x", "/t?pair=x&pair=a%3Dzz%3Bb"),
    ],
)
def test_any_live_text_stands_where_a_secret_was_redacted(url: str, target: str) -> None:
    shelf = shelf_of(recorded(1, url), recorded(2, "/keys/another/quotes"))
    assert found(ask(shelf, target)) == 1
    assert isinstance(ask(shelf, "/more" + target), Miss)


@pytest.mark.parametrize(
    ("recorded_body", "body"),
    [
        (b'{"by":["REDACTED-1",1],"a":1}', b'{"a":1,"by":["some secret",1]}'),
        (b"sig=REDACTED-1;a=1", b"sig=0123456789;a=1"),
    ],
)
def test_a_redacted_body_answers_a_live_one(recorded_body: bytes, body: bytes) -> None:
    shelf = shelf_of(posted(1, recorded_body, ()))
    assert found(post(shelf, body, ())) == 1
    assert isinstance(post(shelf, body.replace(b"1", b"2"), ()), Miss)


def test_a_body_that_is_nested_too_deeply_is_compared_by_its_bytes() -> None:
    deep = b"[" * 100_000
    shelf = shelf_of(posted(1, deep))
    assert found(post(shelf, deep)) == 1
    assert isinstance(post(shelf, deep + b"["), Miss)


def test_the_host_a_recording_came_from_does_not_matter() -> None:
    first = recorded(1, "/v1/marketstatus/now")
    shelf = shelf_of(first)
    assert found(ask(shelf, "http://127.0.0.1:8420/v1/marketstatus/now")) == 1


def test_a_head_is_answered_by_a_recorded_get_if_no_head_was_recorded() -> None:
    shelf = shelf_of(recorded(1, "/a"), recorded(2, "/b"), recorded(3, "/b", method="HEAD"))
    assert found(ask(shelf, "/a", method="HEAD")) == 1
    assert found(ask(shelf, "/b", method="head")) == 3
    assert found(ask(shelf, "/b")) == 2


def test_a_recorded_head_does_not_answer_a_get() -> None:
    shelf = shelf_of(recorded(1, "/a", method="HEAD"))
    assert missed(ask(shelf, "/a")) == "no recording of GET /a; nearest: HEAD of the same path"


def test_a_refusal_is_an_answer_and_a_response_that_never_began_is_not() -> None:
    shelf = shelf_of(recorded(1, "/a", status=401), recorded(2, "/b", status=0))
    assert found(ask(shelf, "/a")) == 1
    assert isinstance(ask(shelf, "/b"), Miss)
    assert shelf.unplayed() == ()


@pytest.mark.parametrize(("position_ns", "seq"), [(-5, 1), (0, 1), (1, 1), (2 * SECOND, 2), (9 * SECOND, 3)])
def test_by_time_gives_the_newest_answer_at_the_playhead_else_the_earliest(
    position_ns: int, seq: int
) -> None:
    shelf = shelf_of(
        recorded(1, "/t", end_ns=10 * SECOND + 2),
        recorded(2, "/t", end_ns=12 * SECOND),
        recorded(3, "/t", end_ns=14 * SECOND),
        zero_ns=10 * SECOND,
    )
    answer = ask(shelf, "/t", repeats=Repeats.BY_TIME, position_ns=position_ns)
    assert found(answer) == seq


def test_by_time_goes_by_the_end_of_an_answer_not_by_its_place() -> None:
    shelf = shelf_of(recorded(1, "/t", end_ns=5), recorded(2, "/t", end_ns=3))
    assert found(ask(shelf, "/t", repeats=Repeats.BY_TIME, position_ns=4)) == 2
    assert found(ask(shelf, "/t", repeats=Repeats.BY_TIME, position_ns=5)) == 1


SLOW = [
    replace(recorded(seq, "/t", end_ns=end), offset_ns=start)
    for seq, start, end in ((1, 0, 2), (2, 5, 9), (3, 8, 10))
]


def timed(shelf: Shelf, timing: Timing, position_ns: int, visits: Visits | None = None) -> int:
    return found(
        shelf.find(
            Asked.of("GET", "/t"),
            repeats=Repeats.BY_TIME,
            position_ns=position_ns,
            visits=visits or Visits(),
            timing=timing,
        )
    )


@pytest.mark.parametrize(
    ("position_ns", "began", "ended"),
    [(-1, 1, 1), (0, 1, 1), (5, 2, 1), (7, 2, 1), (8, 3, 1), (9, 3, 2), (10, 3, 3)],
)
def test_answers_that_take_their_time_go_by_the_beginning_of_their_requests(
    position_ns: int, began: int, ended: int
) -> None:
    shelf = shelf_of(*SLOW)
    assert timed(shelf, Timing.BEGAN, position_ns) == began
    assert timed(shelf, Timing.ENDED, position_ns) == ended


@pytest.mark.parametrize(
    ("zero_ns", "seqs"),
    [(0, [1, 1, 1]), (2, [1, 1, 1]), (9, [1, 1, 1]), (10, [1, 2, 2, 2]), (11, [1, 2, 3, 3])],
)
def test_a_warm_up_is_given_in_order_what_was_complete_before_the_zero(zero_ns: int, seqs: list[int]) -> None:
    shelf, visits = shelf_of(*SLOW, zero_ns=zero_ns), Visits()
    assert [timed(shelf, Timing.WARM_UP, 0, visits) for _ in seqs] == seqs


@pytest.mark.parametrize(
    ("repeats", "seqs"), [(Repeats.IN_ORDER, [1, 2, 3, 3, 3]), (Repeats.CYCLE, [1, 2, 3, 1, 2])]
)
def test_in_order_ends_with_the_last_and_a_cycle_begins_anew(repeats: Repeats, seqs: list[int]) -> None:
    shelf = shelf_of(*(recorded(seq, "/t", end_ns=seq) for seq in (1, 2, 3)))
    visits = Visits()
    assert [found(ask(shelf, "/t", repeats=repeats, visits=visits)) for _ in seqs] == seqs


@pytest.mark.parametrize(("count", "times"), [(1, "once"), (2, "2 times")])
def test_asking_more_often_than_recorded_can_be_an_error(count: int, times: str) -> None:
    shelf = shelf_of(*(recorded(seq, "/t?apiKey=s&limit=10") for seq in range(count)))
    visits = Visits()
    assert [found(ask(shelf, "/t?limit=10", repeats=Repeats.ERROR, visits=visits)) for _ in range(count)] == [
        *range(count)
    ]
    assert missed(ask(shelf, "/t?limit=10", repeats=Repeats.ERROR, visits=visits)) == (
        f"GET /t?limit=10 was asked more often than recorded ({times}); "
        "--repeats in-order gives the last answer again"
    )


def test_each_course_of_playback_counts_for_itself() -> None:
    shelf = shelf_of(recorded(1, "/t"), recorded(2, "/t"))
    one, other = Visits(), Visits()
    assert [found(ask(shelf, "/t", visits=each)) for each in (one, other, one)] == [1, 1, 2]


def test_what_was_never_served_is_known() -> None:
    shelf = shelf_of(recorded(3, "/b"), recorded(1, "/a"), recorded(2, "/a"))
    ask(shelf, "/a")
    assert [each.seq for each in shelf.unplayed()] == [2, 3]


def test_a_miss_names_the_parameter_that_differs() -> None:
    shelf = shelf_of(recorded(1, "/v3/trades/AAPL?apiKey=s&limit=10"))
    miss = ask(shelf, "/v3/trades/AAPL?limit=50")
    assert (
        missed(miss) == "no recording of GET /v3/trades/AAPL?limit=50; nearest: the same path with limit=10"
    )
    assert isinstance(miss, Miss)
    assert miss.nearest is not None
    assert miss.nearest.seq == 1


@pytest.mark.parametrize(
    ("target", "words", "rules"),
    [
        ("/t?limit=1&cursor=AbC123", "without cursor=AbC123", "--ignore query:cursor"),
        ("/t?limit=1&a=1&b=2&a=3", "without a=1 and a=3 and b=2", "--ignore query:a --ignore query:b"),
        ("/t?limit=1&ids[]=1", "without ids%5B%5D=1", "--ignore query:ids%5B%5D"),
        ("/t?limit=1&*=1", "without *=1", "--ignore 'query:[*]'"),
    ],
)
def test_a_miss_by_surplus_parameters_prints_what_leaves_them_aside(
    target: str, words: str, rules: str
) -> None:
    url = "/t?limit=1"
    assert missed(ask(shelf_of(recorded(1, url)), target)).endswith(
        f"; nearest: the same path {words}; to leave it aside: {rules}"
    )
    flags = [each for each in shlex.split(rules) if each != "--ignore"]
    assert found(ask(shelf_of(recorded(1, url), ignore=flags), target)) == 1


@pytest.mark.parametrize("target", ["/t?limit=2", "/t", "/t?limit=2&cursor=1", "/t?limit=1&=2"])
def test_a_miss_by_other_values_or_without_a_name_names_nothing_to_leave_aside(target: str) -> None:
    miss = ask(shelf_of(recorded(1, "/t?limit=1")), target)
    assert isinstance(miss, Miss)
    assert miss.surplus == ()
    assert "--ignore" not in miss.sentence


def test_a_miss_finds_the_path_in_which_a_secret_was_redacted() -> None:
    shelf = shelf_of(recorded(1, "/keys/other"), recorded(2, "/keys/REDACTED-1/trades?limit=1"))
    assert missed(ask(shelf, "/keys/live/trades?limit=2")).endswith("; nearest: the same path with limit=1")


def test_a_miss_names_what_is_lacking_and_what_is_surplus() -> None:
    shelf = shelf_of(recorded(1, "/t?limit=10&sort=asc"))
    assert missed(ask(shelf, "/t?limit=50&cursor=1")) == (
        "no recording of GET /t?cursor=1&limit=50; "
        "nearest: the same path with limit=10 and sort=asc and without cursor=1"
    )


def test_a_miss_names_the_recording_that_lacks_least() -> None:
    shelf = shelf_of(recorded(1, "/t?a=1&b=2&c=3"), recorded(2, "/t?a=1&b=2&c=4&d=5"))
    assert missed(ask(shelf, "/t?b=2&c=4&a=1", method="HEAD")) == (
        "no recording of HEAD /t?a=1&b=2&c=4; nearest: the same path with d=5"
    )


def test_a_miss_never_shows_a_secret() -> None:
    shelf = shelf_of(recorded(1, "/t?apiKey=one-secret&limit=1"))
    for target in ("/t?apiKey=another-secret", "/u?ApiKey=another-secret"):
        assert "secret" not in missed(ask(shelf, target))


def test_a_miss_names_the_nearest_path() -> None:
    shelf = shelf_of(recorded(1, "/v1/marketstatus/now"), recorded(2, "/v3/trades/MSFT?limit=10&apiKey=s"))
    assert missed(ask(shelf, "/v3/trades/AAPL")) == (
        "no recording of GET /v3/trades/AAPL; nearest: GET /v3/trades/MSFT?limit=10"
    )
    assert missed(ask(shelf, "/v1/marketstatus")) == (
        "no recording of GET /v1/marketstatus; nearest: GET /v1/marketstatus/now"
    )


def test_a_miss_says_when_nothing_is_near() -> None:
    assert (
        missed(ask(shelf_of(recorded(1, "/v1/a")), "/x"))
        == "no recording of GET /x; nothing recorded is near it"
    )
    assert missed(ask(shelf_of(), "/x")) == "no recording of GET /x; the shelf is empty"


def test_a_miss_is_one_line_of_printable_text() -> None:
    sentence = missed(ask(shelf_of(), "/a%0Ab\n%1b[31m?x=%0d" + "y" * 1000))
    assert sentence.isprintable()
    assert sentence.isascii()
    assert len(sentence) < 400


NAMES = st.sampled_from(["limit", "sort", "ticker", "apiKey"])
PAIRS = st.lists(st.tuples(NAMES, st.sampled_from(["1", "2", "a b", "ü"])), max_size=5).map(tuple)


@given(PAIRS, PAIRS, st.randoms())
def test_a_request_finds_its_recording_in_any_order_and_nothing_else_does(
    query: tuple[tuple[str, str], ...], added: tuple[tuple[str, str], ...], chance: object
) -> None:
    target = "/t?" + "&".join(f"{name}={value}" for name, value in query)
    shelf = shelf_of(recorded(1, target))
    mixed = [*query, *added]
    chance.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis hands in a random.Random
    is_same = all(name == "apiKey" for name, _ in added)
    answer = shelf.find(
        Asked("GET", "/t", tuple(mixed)), repeats=Repeats.BY_TIME, position_ns=0, visits=Visits()
    )
    assert isinstance(answer, Found) is is_same
