"""The service's side of a conversation; each fact that is known of it has a test that names it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tickdeck.dialects.conversation import (
    LONGEST_CHANNEL,
    LONGEST_FRAME,
    Authenticated,
    Conversation,
    Drop,
    Effect,
    Keys,
    Misstep,
    Refused,
    Say,
    State,
    Subscribed,
    Unsubscribed,
)
from tickdeck.dialects.profiles import DEFAULT, PROFILES, Framing
from tickdeck.dialects.subscriptions import Subscriptions

KEY = "k3y-that-nobody-has-4711"
CONNECTED = '{"ev":"status","status":"connected","message":"Connected Successfully"}'
ACCEPTED = '{"ev":"status","status":"auth_success","message":"authenticated"}'
NOT_AUTHORIZED = '{"ev":"status","status":"error","message":"not authorized"}'
APART = replace(DEFAULT, framing=Framing.APART)


def ack(channel: str, *, verb: str = "subscribed") -> str:
    return f'{{"ev":"status","status":"success","message":"{verb} to: {channel}"}}'


def say(*objects: str) -> Say:
    return Say(f"[{','.join(objects)}]".encode())


def auth(key: str = KEY) -> bytes:
    return json.dumps({"action": "auth", "params": key}).encode()


def subscribe(params: str) -> bytes:
    return json.dumps({"action": "subscribe", "params": params}).encode()


def unsubscribe(params: str) -> bytes:
    return json.dumps({"action": "unsubscribe", "params": params}).encode()


def entered(market: str = "stocks", *, refused: tuple[str, ...] = (), apart: bool = False) -> Conversation:
    """A conversation that the client is in already."""
    wording = APART if apart else DEFAULT
    conversation = Conversation(wording, market=market, not_entitled=Subscriptions(refused))
    conversation.open()
    conversation.receive(auth())
    return conversation


def missteps(effects: list[Effect]) -> list[str]:
    return [effect.kind for effect in effects if isinstance(effect, Misstep)]


def said(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, Say)]


# The way in.


def test_the_greeting_is_pushed_without_a_request() -> None:
    assert Conversation(DEFAULT).open() == [say(CONNECTED)]


@pytest.mark.parametrize("name", PROFILES)
def test_a_good_key_is_accepted_in_the_words_of_the_profile(name: str) -> None:
    conversation = Conversation(PROFILES[name])
    assert conversation.receive(auth()) == [Say(PROFILES[name].accepted), Authenticated(KEY)]
    assert (conversation.state, conversation.key) == (State.AUTHENTICATED, KEY)


@pytest.mark.parametrize("name", PROFILES)
def test_a_bad_key_is_refused_and_then_the_connection_is_lost_without_a_close_frame(name: str) -> None:
    conversation = Conversation(PROFILES[name], keys=Keys(bad=frozenset({KEY})))
    assert conversation.receive(auth()) == [Say(PROFILES[name].refused), Refused(KEY), Drop()]
    assert conversation.state is State.CLOSED


def test_the_2019_page_is_spoken_to_the_letter() -> None:
    conversation = Conversation(PROFILES["alpaca-2019"])
    assert [
        *conversation.open(),
        *conversation.receive(b'{"action":"auth","params":"$APCA_API_KEY_ID"}'),
        *conversation.receive(b'{"action":"subscribe","params":"T.MSFT"}'),
    ] == [
        Say(b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'),
        Say(b'[{"ev":"status","status":"success","message":"authenticated"}]'),
        Authenticated("$APCA_API_KEY_ID"),
        Say(b'[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"}]'),
        Subscribed(("T.MSFT",)),
    ]


@pytest.mark.parametrize(
    ("keys", "key", "good"),
    [
        (Keys(), "anything", True),
        (Keys(), "", False),
        (Keys(good=frozenset({"a"})), "a", True),
        (Keys(good=frozenset({"a"})), "a-staging", False),
        (Keys(good=frozenset({"a-staging"})), "a-staging", True),
        (Keys(good=frozenset({"a"})), "b", False),
        (Keys(good=frozenset({"", "a"})), "", False),
        (Keys(bad=frozenset({"b"})), "b", False),
        (Keys(bad=frozenset({"b"})), " b", True),
        (Keys(good=frozenset({"a"}), bad=frozenset({"a"})), "a", False),
    ],
)
def test_a_key_counts_exactly_as_it_was_sent_its_staging_suffix_included(
    keys: Keys, key: str, good: bool
) -> None:
    assert keys.accepts(key) is good


def test_an_empty_key_is_refused() -> None:
    assert Refused("") in Conversation(DEFAULT).receive(auth(""))


def test_a_client_may_send_its_key_before_it_reads_the_greeting() -> None:
    conversation = Conversation(DEFAULT)
    replies = [*conversation.open(), *conversation.receive(auth())]
    assert said(replies) == [say(CONNECTED), say(ACCEPTED)]


def test_a_subscribe_right_behind_the_key_needs_no_wait_for_the_reply() -> None:
    conversation = Conversation(DEFAULT)
    conversation.open()
    replies = [effect for each in (auth(), subscribe("T.A")) for effect in conversation.receive(each)]
    assert replies == [say(ACCEPTED), Authenticated(KEY), say(ack("T.A")), Subscribed(("T.A",))]


def test_no_key_in_time_is_said_and_then_the_connection_is_lost() -> None:
    conversation = Conversation(DEFAULT)
    timeout = '{"ev":"status","status":"auth_timeout","message":"No authentication request received."}'
    assert conversation.auth_timeout() == [say(timeout), Drop()]
    assert conversation.state is State.CLOSED
    assert conversation.auth_timeout() == []


def test_who_is_in_does_not_time_out() -> None:
    assert entered().auth_timeout() == []


def test_a_second_key_is_met_with_silence() -> None:
    conversation = entered()
    replies = conversation.receive(auth("another"))
    assert (missteps(replies), said(replies)) == (["second-auth"], [])
    assert conversation.key == KEY


def test_behind_a_lost_connection_nobody_listens() -> None:
    conversation = Conversation(DEFAULT, keys=Keys(bad=frozenset({KEY})))
    conversation.receive(auth())
    assert conversation.receive(subscribe("T.A")) == []
    assert conversation.receive_binary(b"\x01") == []


# Subscribing.


def test_each_parameter_is_acknowledged_by_an_event_of_its_own_in_one_frame() -> None:
    replies = entered().receive(subscribe("T.AAPL,A.AAPL"))
    assert replies == [say(ack("T.AAPL"), ack("A.AAPL")), Subscribed(("T.AAPL", "A.AAPL"))]


def test_where_acknowledgements_travel_apart_each_has_a_frame_of_its_own() -> None:
    replies = entered(apart=True).receive(subscribe("T.AAPL,A.AAPL"))
    assert replies == [say(ack("T.AAPL")), say(ack("A.AAPL")), Subscribed(("T.AAPL", "A.AAPL"))]


def test_unsubscribed_to_is_what_an_unsubscribe_is_answered_with() -> None:
    conversation = entered()
    conversation.receive(subscribe("T.AAPL,Q.AAPL"))
    replies = conversation.receive(unsubscribe("Q.AAPL,T.AAPL"))
    words = say(ack("Q.AAPL", verb="unsubscribed"), ack("T.AAPL", verb="unsubscribed"))
    assert replies == [words, Unsubscribed(("Q.AAPL", "T.AAPL"))]
    assert conversation.subscriptions.channels == ()


def test_spaces_around_parameters_are_trimmed() -> None:
    assert Subscribed(("Q.A", "T.A")) in entered().receive(subscribe(" Q.A, T.A ,"))


def test_parameters_are_a_set_in_whatever_order() -> None:
    one, other = entered(), entered()
    one.receive(subscribe("Q.*,T.MSFT"))
    other.receive(subscribe("T.MSFT,Q.*,T.MSFT"))
    assert one.subscriptions.channels == other.subscriptions.channels
    one.receive(unsubscribe("T.MSFT,Q.*"))
    assert one.subscriptions.channels == ()


@pytest.mark.parametrize(
    ("market", "channel"),
    [
        ("stocks", "T.*"),
        ("stocks", "Q.*"),
        ("stocks", "A.*"),
        ("stocks", "AM.*"),
        ("options", "T.*"),
        ("crypto", "XT.*"),
        ("forex", "C.*"),
        ("futures/cme", "Q.*"),
    ],
)
def test_a_wildcard_is_acknowledged_as_it_stands(market: str, channel: str) -> None:
    assert entered(market).receive(subscribe(channel)) == [say(ack(channel)), Subscribed((channel,))]


def test_quotes_of_all_options_are_not_offered() -> None:
    replies = entered("options").receive(subscribe("Q.*,Q.O:SPY241220P00720000"))
    assert said(replies) == [say(ack("Q.O:SPY241220P00720000"))]
    assert missteps(replies) == ["not-offered"]


def test_an_unknown_ticker_is_acknowledged() -> None:
    assert entered().receive(subscribe("T.NOSUCH")) == [say(ack("T.NOSUCH")), Subscribed(("T.NOSUCH",))]


@pytest.mark.parametrize("channel", ["ZZ.AAPL", "AAPL", "t.aapl", "XT.BTC-USD", "*", ".AAPL", "T", "T .A"])
def test_an_unknown_topic_is_met_with_silence(channel: str) -> None:
    conversation = entered()
    replies = conversation.receive(subscribe(channel))
    detail = f"a channel '{channel}', which stocks does not know"
    assert replies == [Misstep("unknown-topic", detail)]
    assert conversation.subscriptions.channels == ()


def test_an_unknown_topic_does_not_spoil_the_others() -> None:
    replies = entered().receive(subscribe("ZZ.AAPL,T.AAPL"))
    assert said(replies) == [say(ack("T.AAPL"))]


def test_a_topic_that_the_recording_knows_is_known() -> None:
    conversation = Conversation(DEFAULT, also=frozenset({"NEW"}))
    conversation.receive(auth())
    assert Subscribed(("NEW.A", "T.A")) in conversation.receive(subscribe("NEW.A,T.A"))


def test_topic_and_ticker_are_case_sensitive() -> None:
    conversation = entered()
    conversation.receive(subscribe("T.AAPL"))
    assert Subscribed(("T.aapl",)) in conversation.receive(subscribe("T.aapl"))
    assert missteps(conversation.receive(subscribe("t.AAPL"))) == ["unknown-topic"]


def test_a_duplicate_subscribe_is_met_with_silence_and_is_no_misstep() -> None:
    conversation = entered()
    conversation.receive(subscribe("T.A"))
    assert conversation.receive(subscribe("T.A")) == []
    assert conversation.receive(subscribe("T.A,T.B")) == [say(ack("T.B")), Subscribed(("T.B",))]


def test_unsubscribing_what_is_not_held_is_met_with_silence_and_is_no_misstep() -> None:
    conversation = entered()
    conversation.receive(subscribe("T.*"))
    assert conversation.receive(unsubscribe("T.A,ZZ.A")) == []
    assert conversation.subscriptions.channels == ("T.*",)


def test_an_unentitled_topic_is_refused_without_naming_it_and_ahead_of_the_successes() -> None:
    replies = entered(refused=("Q.*",)).receive(subscribe("T.A,Q.A,A.A,Q.*"))
    assert replies == [
        say(NOT_AUTHORIZED, NOT_AUTHORIZED, ack("T.A"), ack("A.A")),
        Subscribed(("T.A", "A.A")),
    ]


def test_each_refused_parameter_has_its_refusal_each_time() -> None:
    conversation = entered(refused=("Q.*", "T.B"), apart=True)
    assert conversation.receive(subscribe("T.A,Q.A,Q.A,T.B")) == [
        say(NOT_AUTHORIZED),
        say(NOT_AUTHORIZED),
        say(ack("T.A")),
        Subscribed(("T.A",)),
    ]
    assert conversation.receive(subscribe("Q.A")) == [say(NOT_AUTHORIZED)]


def test_a_forex_pair_is_acknowledged_with_its_slash_whichever_way_it_was_asked_for() -> None:
    conversation = entered("forex")
    assert conversation.receive(subscribe("C.EUR-USD,C.EUR/USD")) == [
        say(ack("C.EUR/USD")),
        Subscribed(("C.EUR/USD",)),
    ]
    assert Unsubscribed(("C.EUR/USD",)) in conversation.receive(unsubscribe("C.EUR-USD"))


def test_a_crypto_pair_keeps_its_dash() -> None:
    assert Subscribed(("XT.BTC-USD",)) in entered("crypto").receive(subscribe("XT.BTC-USD"))


def test_a_ticker_may_contain_a_dot() -> None:
    assert entered().receive(subscribe("T.BRK.B")) == [say(ack("T.BRK.B")), Subscribed(("T.BRK.B",))]


def test_nothing_is_remembered_over_a_reconnect() -> None:
    entered().receive(subscribe("T.A"))
    again = entered()
    assert again.subscriptions.channels == ()
    assert Subscribed(("T.A",)) in again.receive(subscribe("T.A"))


def test_subscribing_paints_nothing() -> None:
    replies = entered().receive(subscribe("T.A"))
    assert [type(effect) for effect in replies] == [Say, Subscribed]


def test_ten_thousand_symbols_are_acknowledged_in_frames_that_a_client_can_read() -> None:
    channels = [f"T.SYMBOL{number}" for number in range(10_000)] + [
        f"Q.SYMBOL{number}" for number in range(5_000)
    ]
    replies = entered().receive(subscribe(",".join(channels)))
    frames = [effect.payload for effect in replies if isinstance(effect, Say)]
    assert len(frames) == 2
    assert all(len(frame) <= LONGEST_FRAME for frame in frames)
    assert [event["message"] for frame in frames for event in json.loads(frame)] == [
        f"subscribed to: {channel}" for channel in channels
    ]


def test_a_channel_of_any_length_is_not_repeated() -> None:
    replies = entered().receive(subscribe("T." + "A" * LONGEST_CHANNEL))
    assert replies == [Misstep("params", "a channel of 1002 characters")]


# What the service would not have answered.


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b"", "malformed"),
        (b"hello", "malformed"),
        (b'{"action":"subscribe","params":"T.A"', "malformed"),
        (b'[{"action":"subscribe","params":"T.A"}]', "malformed"),
        (b'"subscribe"', "malformed"),
        (b"{}", "malformed"),
        (b'{"action":["subscribe"]}', "malformed"),
        (b'\xff{"action":"subscribe"}', "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"action":"Subscribe","params":"T.A"}', "unknown-action"),
        (b'{"action":"","params":"T.A"}', "unknown-action"),
        (b'{"action":"subscribe"}', "params"),
        (b'{"action":"subscribe","params":["T.A"]}', "params"),
        (b'{"action":"unsubscribe","params":null}', "params"),
        (b'{"action":"subscribe","params":""}', "params"),
        (b'{"action":"subscribe","params":" , "}', "params"),
    ],
)
def test_what_is_not_understood_is_met_with_silence(message: bytes, kind: str) -> None:
    replies = entered().receive(message)
    assert (missteps(replies), len(replies)) == ([kind], 1)


@pytest.mark.parametrize("message", [subscribe("T.A"), unsubscribe("T.A")])
def test_subscribing_before_the_key_is_met_with_silence(message: bytes) -> None:
    conversation = Conversation(DEFAULT)
    assert missteps(conversation.receive(message)) == ["before-auth"]
    assert Authenticated(KEY) in conversation.receive(auth())
    assert conversation.subscriptions.channels == ()


def test_a_key_that_is_no_text_is_met_with_silence() -> None:
    conversation = Conversation(DEFAULT)
    assert missteps(conversation.receive(b'{"action":"auth","params":4711}')) == ["params"]
    assert conversation.state is State.CONNECTED


def test_a_binary_message_is_met_with_silence() -> None:
    assert entered().receive_binary(b"\x01") == [Misstep("binary", "a binary message of 1 bytes")]


PLACES_FOR_A_KEY = st.sampled_from(
    [
        '{"action":"auth","params":"%s"}',
        '{"action":"auth","params":"%s"',
        '{"action":"%s","params":""}',
        '{"action":"subscribe","params":"%s"}',
        '{"action":"subscribe","params":"ZZ.x%sx"}',
        '{"action":"subscribe","params":["%s"]}',
        '{"%s":1}',
        "%s",
    ]
)


@given(st.lists(PLACES_FOR_A_KEY))
def test_no_misstep_tells_the_key(messages: list[str]) -> None:
    conversation = Conversation(DEFAULT)
    for message in messages:
        for effect in conversation.receive((message % KEY).encode()):
            assert not (isinstance(effect, Misstep) and KEY in effect.detail)


# Any course of a conversation.

CHANNELS = st.sampled_from(["T.A", "T.B", "T.*", "Q.A", "Q.*", "A.BRK.B", "ZZ.A", "nothing"])
SETS = st.lists(CHANNELS, max_size=5)


class AnyCourse(RuleBasedStateMachine):
    """A conversation against a model: a set, and whether the client is in. Quotes are not entitled."""

    def __init__(self) -> None:
        super().__init__()
        self.conversation = Conversation(
            DEFAULT, keys=Keys(bad=frozenset({"bad"})), not_entitled=Subscriptions(["Q.*"])
        )
        self.state = State.CONNECTED
        self.held: set[str] = set()

    @rule(key=st.sampled_from([KEY, "bad", ""]))
    def authenticate(self, key: str) -> None:
        replies = self.conversation.receive(auth(key))
        if self.state is State.CONNECTED:
            assert said(replies) == [Say(DEFAULT.accepted if key == KEY else DEFAULT.refused)]
            self.state = State.AUTHENTICATED if key == KEY else State.CLOSED
            assert (Drop() in replies) == (self.state is State.CLOSED)
        else:
            assert said(replies) == []

    @rule(channels=SETS)
    def ask(self, channels: list[str]) -> None:
        new = [each for each in dict.fromkeys(channels) if each[0] in "TA" and each not in self.held]
        refused = {each for each in channels if each[0] == "Q"}
        if self.state is not State.AUTHENTICATED:
            new, refused = [], set()
        words = [*[NOT_AUTHORIZED] * len(refused), *map(ack, new)]
        assert said(self.conversation.receive(subscribe(",".join(channels)))) == (
            [say(*words)] if words else []
        )
        self.held.update(new)

    @rule(channels=SETS)
    def let_go(self, channels: list[str]) -> None:
        gone = [each for each in dict.fromkeys(channels) if each in self.held]
        words = [ack(each, verb="unsubscribed") for each in gone]
        assert said(self.conversation.receive(unsubscribe(",".join(channels)))) == (
            [say(*words)] if words else []
        )
        self.held.difference_update(gone)

    @rule(message=st.binary())
    def babble(self, message: bytes) -> None:
        assert said(self.conversation.receive(message)) == []

    @precondition(lambda self: self.state is State.CONNECTED)
    @rule()
    def wait_too_long(self) -> None:
        assert self.conversation.auth_timeout()[-1] == Drop()
        self.state = State.CLOSED

    @invariant()
    def agree(self) -> None:
        assert self.conversation.state is self.state
        assert self.conversation.subscriptions.channels == tuple(sorted(self.held))


TestAnyCourse = AnyCourse.TestCase


@given(SETS, st.data())
def test_how_a_client_splits_its_requests_does_not_change_what_it_holds(
    channels: list[str], data: st.DataObject
) -> None:
    whole, split = entered(), entered()
    whole.receive(subscribe(",".join(channels)))
    while channels:
        some = data.draw(st.integers(1, len(channels)))
        split.receive(subscribe(",".join(channels[:some])))
        channels = channels[some:]
    assert whole.subscriptions.channels == split.subscriptions.channels
