"""The client's side of the conversation, without a socket."""

from __future__ import annotations

import pytest

from tickdeck.dialects.advice import what_to_do
from tickdeck.dialects.dialogue import (
    ChannelsRefused,
    ChannelsTaken,
    Complaint,
    Dialogue,
    Evicted,
    KeyRefused,
    KeyTaken,
    LetGo,
    Market,
    Say,
    Stage,
    Step,
)

GREETING = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
TAKEN = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'


def status(status: str, message: str) -> bytes:
    return f'[{{"ev":"status","status":"{status}","message":"{message}"}}]'.encode()


def after(dialogue: Dialogue, *payloads: bytes) -> list[Step]:
    return [step for payload in payloads for step in dialogue.receive(payload)]


def ready(*channels: str) -> Dialogue:
    dialogue = Dialogue("KEY", channels)
    after(dialogue, GREETING, TAKEN)
    return dialogue


def test_the_conversation_of_the_2019_page() -> None:
    dialogue = Dialogue("KEY", ["T.MSFT"])
    assert dialogue.receive(GREETING) == [Say(b'{"action":"auth","params":"KEY"}')]
    assert dialogue.receive(status("success", "authenticated")) == [
        KeyTaken(),
        Say(b'{"action":"subscribe","params":"T.MSFT"}'),
    ]
    assert dialogue.receive(status("success", "subscribed to: T.MSFT")) == [ChannelsTaken(("T.MSFT",))]
    assert dialogue.receive(b'[{"ev":"T","sym":"MSFT","p":114.170}]') == [Market()]
    assert dialogue.open == ()


def test_without_a_channel_nothing_is_subscribed() -> None:
    assert after(Dialogue("KEY", []), GREETING, TAKEN)[1:] == [KeyTaken()]


def test_an_auth_reply_an_acknowledgement_and_data_may_share_a_frame() -> None:
    dialogue = Dialogue("KEY", ["C.AUD-USD"])
    dialogue.receive(GREETING)
    frame = TAKEN[:-1] + b"," + status("success", "subscribed to: C.AUD/USD")[1:-1] + b',{"ev":"C"}]'
    assert dialogue.receive(frame)[2:] == [ChannelsTaken(("C.AUD/USD",)), Market()]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("auth_failed", "invalid API key"),
        ("error", "authentication failed"),
        ("auth_timeout", "No authentication request received."),
    ],
)
def test_a_refused_key_is_told_in_the_words_of_the_service(word: str, message: str) -> None:
    dialogue = Dialogue("KEY", ["T.MSFT"])
    dialogue.receive(GREETING)
    assert dialogue.receive(status(word, message)) == [KeyRefused(message)]


def test_a_key_may_be_refused_after_it_was_taken() -> None:
    assert ready().receive(status("auth_failed", "expired")) == [KeyRefused("expired")]


def test_a_refusal_that_comes_first_is_named_once_the_others_are_acknowledged() -> None:
    dialogue = ready("T.MSFT", "Q.MSFT", "A.MSFT")
    assert dialogue.receive(status("error", "not authorized")) == []
    assert dialogue.receive(status("success", "subscribed to: T.MSFT")) == [ChannelsTaken(("T.MSFT",))]
    assert dialogue.receive(status("success", "subscribed to: A.MSFT")) == [
        ChannelsTaken(("A.MSFT",)),
        ChannelsRefused(("Q.MSFT",), "not authorized"),
    ]


def test_when_all_are_refused_all_are_named() -> None:
    dialogue = ready("T.MSFT", "Q.MSFT")
    refusals = status("error", "not authorized")
    assert after(dialogue, refusals, refusals) == [ChannelsRefused(("T.MSFT", "Q.MSFT"), "not authorized")]
    assert dialogue.receive(refusals) == []


def test_an_unknown_topic_stays_open() -> None:
    dialogue = ready("ZZ.MSFT", "T.MSFT")
    dialogue.receive(status("success", "subscribed to: T.MSFT"))
    assert (dialogue.open, dialogue.refusals) == (("ZZ.MSFT",), 0)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("max_connections", "Maximum number of websocket connections exceeded. "),
        ("disconnected", "Reason: Max connections reached"),
    ],
)
def test_an_eviction_is_one_at_any_stage(word: str, message: str) -> None:
    for dialogue in (Dialogue("KEY", []), ready("T.MSFT")):
        assert dialogue.receive(status(word, message)) == [Evicted(message.strip(), what_to_do(word))]


def test_a_reader_that_is_too_slow_is_let_go_and_told_what_to_do() -> None:
    [step] = ready("T.MSFT").receive(status("slow_consumer", "Disconnected due to slow consumer"))
    assert isinstance(step, LetGo)
    assert step.words == "Disconnected due to slow consumer"
    assert "fewer channels" in step.advice


def test_another_error_is_a_complaint() -> None:
    assert ready("Q.*").receive(status("error", "Subscription limit reached")) == [
        Complaint("Subscription limit reached")
    ]


@pytest.mark.parametrize(
    "payload",
    [b'"status"', b'{"status":1', b'[1,"status"]', b'[{"ev":"status"}]', b"\xff status", b'["status"'],
)
def test_what_makes_no_sense_is_passed_over(payload: bytes) -> None:
    dialogue = Dialogue("KEY", ["T.MSFT"])
    assert all(isinstance(step, Market) for step in dialogue.receive(payload))
    assert dialogue.stage is Stage.GREETING


def test_an_acknowledgement_of_what_was_not_asked_for_is_passed_over() -> None:
    assert ready("T.MSFT").receive(status("success", "subscribed to: T.AAPL")) == []
    assert ready("T.MSFT").receive(status("success", "unsubscribed to: T.MSFT")) == []


def test_a_second_greeting_says_nothing_new() -> None:
    assert ready("T.MSFT").receive(GREETING) == []
