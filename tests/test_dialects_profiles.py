"""The wording of each era, and what a cassette may change about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.profiles import DEFAULT, PROFILES, Framing, overlay, profile, wording

CONNECTED = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
A = b'[{"ev":"status","status":"success","message":"authenticated"}]'
B = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'
INVALID = b'[{"ev":"status","status":"auth_failed","message":"invalid API key"}]'
FAILED = b'[{"ev":"status","status":"auth_failed","message":"authentication failed"}]'


@pytest.mark.parametrize(
    ("name", "accepted", "refused", "bad_key"),
    [
        ("polygon", B, INVALID, "invalid API key"),
        ("alpaca-2019", A, INVALID, "invalid API key"),
        ("massive-2026", B, FAILED, "Unknown API Key"),
    ],
)
def test_an_era_has_its_words(name: str, accepted: bytes, refused: bytes, bad_key: str) -> None:
    era = profile(name)
    assert (era.greeting, era.accepted, era.refused) == (CONNECTED, accepted, refused)
    assert (era.name, era.bad_key, era.framing) == (name, bad_key, Framing.TOGETHER)


def test_auth_success_is_the_default_and_the_2019_page_can_be_chosen() -> None:
    assert wording(None, {}).accepted == B
    assert wording("alpaca-2019", {}).accepted == A


def test_a_profile_that_there_is_not_is_a_usage_error_that_lists_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        wording("alpaca", {})
    assert str(caught.value) == "no profile is called 'alpaca'; there are polygon, alpaca-2019, massive-2026"


LEARNED = {
    "greeting": '[ {"ev":"status","status":"connected","message":"Hello"} ]',
    "auth_success": A.decode(),
    "acks": "apart",
}
SPACED = {
    "auth_failed": FAILED.decode(),
    "subscribed": '[{"ev": "status", "status": "success", "message": "subscribed to: {channel}"}]',
    "separator": ", ",
}


def test_what_a_cassette_learned_overlays_the_default_and_leaves_the_rest() -> None:
    era = wording(None, LEARNED)
    assert era.greeting == LEARNED["greeting"].encode()
    assert (era.accepted, era.framing) == (A, Framing.APART)
    assert (era.refused, era.bad_key, era.acks) == (DEFAULT.refused, DEFAULT.bad_key, DEFAULT.acks)
    assert (era.name, era.learned, era.notes) == ("learned", ("greeting", "auth_success", "acks"), ())


@pytest.mark.parametrize("keys", [("auth_failed", "subscribed", "separator"), ("separator", "subscribed")])
def test_the_order_in_which_things_were_learned_does_not_matter(keys: tuple[str, ...]) -> None:
    era = wording(None, {key: SPACED[key] for key in keys})
    assert (era.learned, era.notes) == (keys, ())
    assert era.refused == (FAILED if "auth_failed" in keys else DEFAULT.refused)
    assert era.acks.frame([era.acks.subscribed("T.A"), era.acks.unsubscribed('a"')]) == (
        b'[{"ev": "status", "status": "success", "message": "subscribed to: T.A"}, '
        b'{"ev": "status", "status": "success", "message": "unsubscribed to: a\\""}]'
    )


def test_a_profile_that_is_named_is_taken_as_it_is() -> None:
    assert wording("massive-2026", LEARNED) == PROFILES["massive-2026"]


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("greeting", "hello", "it is no JSON"),
        ("greeting", "[]", "it is no array of objects"),
        ("greeting", "{}", "it is no array of objects"),
        ("greeting", '[{"ev":"status"},1]', "it is no array of objects"),
        ("greeting", B.decode(), "it is not that status alone"),
        ("greeting", '[{"ev":"status","status":"connected"}]', "it is not that status alone"),
        ("greeting", '[{"ev":"T","status":"connected","message":""}]', "it is not that status alone"),
        (
            "greeting",
            f"[{CONNECTED.decode()[1:-1]},{CONNECTED.decode()[1:-1]}]",
            "it is not that status alone",
        ),
        ("greeting", CONNECTED.decode() + " " * 5000, "it is longer than 4096 bytes"),
        ("greeting", "\ud800", "it is no JSON"),
        ("auth_success", INVALID.decode(), "it is not that status alone"),
        (
            "auth_success",
            '[{"ev":"status","status":"success","message":"subscribed to: T.A"}]',
            "it is not that status alone",
        ),
        ("auth_failed", B.decode(), "it is not that status alone"),
        ("subscribed", SPACED["subscribed"] + " " * 5000, "it is longer than 4096 bytes"),
        ("subscribed", "\ud800", "it is not the acknowledgement of one channel"),
        ("subscribed", "[{channel}]", "it is not the acknowledgement of one channel"),
        ("subscribed", A.decode(), "it is not the acknowledgement of one channel"),
        (
            "subscribed",
            SPACED["subscribed"].replace('"}', '{channel}"}'),
            "it is not the acknowledgement of one channel",
        ),
        ("separator", ";", "it is no comma with spaces around it"),
        ("acks", "sideways", "it is neither together nor apart"),
        ("refusal", INVALID.decode(), "this release knows no such thing"),
    ],
)
def test_a_learned_value_that_is_not_sound_is_left_out_with_a_note(key: str, value: str, why: str) -> None:
    era = overlay(DEFAULT, {key: value})
    assert era.notes == (f"learned {key} is not used: {why}",)
    assert (era.name, era.learned) == ("polygon", ())
    assert (era.greeting, era.accepted, era.framing) == (CONNECTED, B, Framing.TOGETHER)
    assert (era.refused, era.acks) == (INVALID, DEFAULT.acks)


@given(
    st.dictionaries(
        st.sampled_from(["greeting", "auth_success", "auth_failed", "subscribed", "acks", "x"]), st.text()
    )
)
def test_no_garbage_gets_into_the_words(learned: dict[str, str]) -> None:
    era = overlay(DEFAULT, learned)
    assert len(era.notes) + len(era.learned) == len(learned)
    assert (era.greeting, era.accepted, era.refused) == (CONNECTED, B, INVALID)
