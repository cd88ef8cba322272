"""The table of the control: what a request may say, and what is wrong with one."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.controls import Controls
from tickdeck.mockserver.routes import ROUTES, Route, arguments, compact, find, is_control, listing
from tickdeck.watch.gate import Refused

BY_NAME = {route.name: route for route in ROUTES}


def told(name: str, query: dict[str, str] | None = None, body: Any = b"") -> dict[str, object]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return arguments(BY_NAME[name], (query or {}).items(), raw)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_route_takes_what_its_verb_takes(route: Route) -> None:
    verb = inspect.signature(getattr(Controls, route.verb)).parameters.values()
    wanted = {each.name: each.default is each.empty for each in verb if each.name != "self"}
    assert wanted == {each.argument or each.name: each.required for each in route.parameters}


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/__tickdeck", True),
        ("/__tickdeck/", True),
        ("/__tickdeck/state", True),
        ("/__tickdecks", False),
        ("/v1/__tickdeck/", False),
    ],
)
def test_which_paths_are_the_control_s(path: str, ours: bool) -> None:
    assert is_control(path) is ours


@pytest.mark.parametrize("path", ["/__tickdeck/refuse-keys", "/__tickdeck/refuse-keys/"])
def test_a_route_is_found_with_and_without_a_slash(path: str) -> None:
    assert find(path) is BY_NAME["refuse-keys"]


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("/__tickdeck/sek", "nearest: POST /__tickdeck/seek"),
        ("/__tickdeck/refuse_keys", "nearest: POST /__tickdeck/refuse-keys"),
        ("/__tickdeck/zzz", "GET /__tickdeck/ lists what there is"),
        ("/__tickdeck/" + "s" * 100_000, "GET /__tickdeck/ lists what there is"),
    ],
)
def test_what_there_is_not_is_answered_with_the_nearest(path: str, ending: str) -> None:
    refused = find(path)
    assert isinstance(refused, Refused)
    assert refused.status == 404
    assert refused.sentence.endswith(ending)
    assert len(refused.sentence) < 200


@pytest.mark.parametrize(
    ("name", "query", "body", "wanted"),
    [
        ("pause", {}, b"", {}),
        ("pause", {}, b" \n", {}),
        ("pause", {"timeline": "2"}, b"", {"timeline": 2}),
        ("pause", {}, {"timeline": 2}, {"timeline": 2}),
        ("pause", {}, {"timeline": None}, {}),
        ("wait", {"for": "left", "timeout": "1.5"}, b"", {"what": "left", "timeout": 1.5}),
        ("speed", {"speed": "1/3"}, b"", {"speed": "1/3"}),
        ("speed", {}, {"speed": 7.3}, {"speed": "7.3"}),
        ("step", {"timeline": "1"}, {"duration": 2}, {"timeline": 1, "duration": "2"}),
        ("stub", {"request": "GET /", "clear": "true"}, b"", {"request": "GET /", "clear": True}),
        ("stub", {}, {"request": "GET /", "body": [1.5], "clear": False},
         {"request": "GET /", "body": [1.5], "clear": False}),
        ("refuse-keys", {"keys": "a,b", "refuse": "false"}, b"", {"keys": ["a", "b"], "refuse": False}),
        ("refuse-keys", {}, {"keys": ["a,b"]}, {"keys": ["a,b"]}),
        ("send", {"market": "crypto"}, b' [{"p":1.50}]\n', {"market": "crypto", "payload": b'[{"p":1.50}]'}),
        ("send", {}, {"frame": [{"ev": "T"}]}, {"payload": b'[{"ev":"T"}]'}),
        ("send", {}, {"frame": '[{"p":1.50}]'}, {"payload": '[{"p":1.50}]'}),
    ],
)  # fmt: skip
def test_what_a_verb_is_called_with(
    name: str, query: dict[str, str], body: Any, wanted: dict[str, object]
) -> None:
    assert told(name, query, body) == wanted


@pytest.mark.parametrize(
    ("name", "query", "body", "sentence"),
    [
        ("seek", {}, b"", "seek wants to: a place such as +90s or 09:31:05"),
        ("seek", {"too": "1"}, b"", "seek has no parameter 'too'; it takes to, timeline"),
        ("state", {"token": "x"}, b"", "state has no parameter 'token'; it takes none"),
        ("seek", {"to": "1"}, {"to": "2"}, "'to' was said twice"),
        ("seek", {"to": "9" * 61}, b"", "to must be a place such as"),
        ("seek", {}, {"to": True}, "not true"),
        ("pause", {"timeline": "-1"}, b"", "timeline must be a whole number, not '-1'"),
        ("pause", {"timeline": "1" * 5000}, b"", "timeline must be a whole number, not '1111"),
        ("pause", {}, {"timeline": True}, "timeline must be a whole number, not true"),
        ("pause", {}, {"timeline": 1.0}, "timeline must be a whole number, not 1.0"),
        ("pause", {}, {"timeline": [1]}, "timeline must be a whole number, not an array"),
        ("pause", {}, {"timeline": {}}, "timeline must be a whole number, not an object"),
        ("pause", {}, {"timeline": 10**30}, "timeline must be a whole number"),
        ("wait", {"timeout": "nan"}, b"", "timeout must be seconds from 0 to 3600, not 'nan'"),
        ("wait", {"timeout": "3601"}, b"", "timeout must be seconds from 0 to 3600"),
        ("wait", {"for": "x", "timeout": "soon"}, b"", "timeout must be seconds"),
        ("stub", {"request": "GET /", "clear": "yes"}, b"", "clear must be true or false, not 'yes'"),
        ("refuse-keys", {}, {"keys": [1]}, "keys must be an array of texts, or one text with commas"),
        ("refuse-keys", {"keys": ""}, b"", "keys must be an array of texts"),
        ("pause", {}, b"timeline=1", "the body is no JSON in UTF-8"),
        ("pause", {}, b"\xff", "the body is no JSON in UTF-8"),
        ("pause", {}, b'{"timeline":NaN}', "the body is no JSON in UTF-8"),
        ("pause", {}, b"[" * 200_000, "the body is nested too deeply"),
        ("pause", {}, b'{"a":' * 200_000, "the body is nested too deeply"),
        ("pause", {}, b"[1]", "the body must be a JSON object with parameters, not an array"),
        ("pause", {}, b"1", "the body must be a JSON object with parameters, not 1"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    name: str, query: dict[str, str], body: Any, sentence: str
) -> None:
    with pytest.raises(UsageError) as caught:
        told(name, query, body)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 200


def test_half_a_character_stays_an_escape() -> None:
    assert json.loads(compact({"a": "\ud800é"})) == {"a": "\ud800é"}


def test_the_listing_has_every_route() -> None:
    assert [each["path"] for each in listing()] == [route.path for route in ROUTES]
    assert json.loads(json.dumps(listing())) == listing()


@given(st.sampled_from(ROUTES), st.dictionaries(st.text(), st.text(), max_size=3), st.binary())
def test_nothing_that_is_said_makes_more_than_a_sentence(
    route: Route, query: dict[str, str], body: bytes
) -> None:
    try:
        arguments(route, query.items(), body)
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most of what is drawn raises, some does not


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from([route for route in ROUTES if route.parameters]), JSON, st.data())
def test_no_value_of_a_parameter_makes_more_than_a_sentence(route: Route, value: object, data: Any) -> None:
    name = data.draw(st.sampled_from([each.name for each in route.parameters]))
    try:
        arguments(route, [], json.dumps({name: value}).encode())
    except UsageError as error:
        assert name in str(error) or "JSON" in str(error) or "wants" in str(error)  # noqa: PT017 - as above
