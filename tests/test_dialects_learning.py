"""What is learned of a service's wording while it is recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.records import Sender
from tickdeck.dialects.conversation import Conversation, Say
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.dialects.profiles import DEFAULT, PROFILES, Framing, Wording, overlay
from tickdeck.dialects.statuses import Status, frame, render

GREETING = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
ACCEPTED = '[{"ev":"status","status":"success","message":"authenticated"}]'
REFUSED = '[{"ev":"status","status":"auth_failed","message":"authentication failed"}]'


def ack(*channels: str, verb: str = "subscribed") -> str:
    objects = (f'{{"ev":"status","status":"success","message":"{verb} to: {each}"}}' for each in channels)
    return f"[{','.join(objects)}]"


def asks(*channels: str, action: str = "subscribe") -> str:
    return f'{{"action":"{action}","params":"{",".join(channels)}"}}'


def learn(*lines: str) -> dict[str, str]:
    """What is known after these lines; a server's begin with a bracket."""
    learner, known = ProfileLearner(), dict[str, str]()
    for line in lines:
        sender = Sender.SERVER if line.startswith("[") else Sender.CLIENT
        known.update(learner.feed(sender, line.encode()) or {})
    return known


def test_the_greeting_and_the_reply_to_a_good_key_are_learned_to_the_letter() -> None:
    spaced = ACCEPTED.replace(",", ", ")
    assert learn(GREETING, '{"action":"auth","params":"K"}', spaced) == {
        "greeting": GREETING,
        "auth_success": spaced,
    }


def test_nothing_is_told_twice() -> None:
    learner = ProfileLearner()
    assert learner.feed(Sender.SERVER, GREETING.encode()) == {"greeting": GREETING}
    assert learner.feed(Sender.SERVER, b'[{"ev":"T","sym":"A"}]') is None
    assert learner.feed(Sender.SERVER, ACCEPTED.encode()) == {"greeting": GREETING, "auth_success": ACCEPTED}
    assert learner.feed(Sender.SERVER, ACCEPTED.encode()) is None


def test_only_the_first_frame_can_be_the_greeting() -> None:
    assert learn('[{"ev":"T","sym":"A"}]', GREETING) == {}


def test_a_reply_that_shares_its_frame_is_not_learned() -> None:
    assert learn(GREETING, f"[{ACCEPTED[1:-1]},{ack('C.AUD/USD')[1:-1]}]") == {"greeting": GREETING}


@pytest.mark.parametrize(
    "refusal",
    [
        REFUSED,
        REFUSED.replace(",", ", "),
        '[{"ev":"status","status":"error","message":"authentication failed"}]',
        '[{"ev":"status","status":"auth_failed","message":"invalid API key"}]',
    ],
)
def test_what_a_bad_key_is_told_is_learned_to_the_letter(refusal: str) -> None:
    known = learn(GREETING, '{"action":"auth","params":"K"}', refusal)
    assert known == {"greeting": GREETING, "auth_failed": refusal}
    assert overlay(DEFAULT, known).refused == refusal.encode()


@pytest.mark.parametrize(
    "status",
    [
        Status.NO_SOCKETS_IN_PLAN,
        Status.NO_SOCKETS_IN_PLAN_2025,
        Status.AUTH_TIMEOUT,
        Status.NOT_AUTHORIZED,
        Status.MAX_CONNECTIONS,
    ],
)
def test_what_is_said_to_a_good_key_is_no_refusal_of_one(status: Status) -> None:
    assert learn(GREETING, frame([render(status)]).decode()) == {"greeting": GREETING}


SPACED = '[{"ev": "status", "status": "success", "message": "subscribed to: T.A"}]'
ODD = '[ {"status":"success","message":"subscribed to: T.A","ev":"status"} ,\n{"ev":"T"} ]\n\n'


@pytest.mark.parametrize(
    ("recorded", "subscribed", "unsubscribed"),
    [
        (
            SPACED,
            f"{SPACED[:-1]}, {SPACED[1:]}".replace("T.A", "Q.B", 1).replace("T.A", "Q.C"),
            SPACED.replace("subscribed to: T.A", "unsubscribed to: Q.B"),
        ),
        (
            ODD,
            ODD.replace("T.A", "Q.B").replace('{"ev":"T"}', ODD[2:67].replace("T.A", "Q.C")),
            ODD.replace(' ,\n{"ev":"T"}', "").replace("subscribed to: T.A", "unsubscribed to: Q.B"),
        ),
        (f"[{ACCEPTED[1:-1]},{ack('T.A')[1:-1]}]", ack("Q.B", "Q.C"), ack("Q.B", verb="unsubscribed")),
    ],
    ids=["spaced", "another order of keys", "as usual"],
)
def test_an_acknowledgement_is_spelled_as_it_was_recorded(
    recorded: str, subscribed: str, unsubscribed: str
) -> None:
    conversation = Conversation(overlay(DEFAULT, learn(GREETING, asks("T.A"), recorded)))
    conversation.receive(b'{"action":"auth","params":"K"}')
    said = conversation.receive(asks("Q.B", "Q.C").encode())
    gone = conversation.receive(asks("Q.B", action="unsubscribe").encode())
    assert [said[0], gone[0]] == [Say(subscribed.encode()), Say(unsubscribed.encode())]


@pytest.mark.parametrize(
    "line",
    [
        ack("T.A"),
        ack("T.A", verb="unsubscribed").replace(",", ", "),
        SPACED.replace('"}', '", "id": 7}'),
        SPACED.replace("success", "error"),
        '[{"ev": "T", "message": "subscribed to: T.A"}]',
        '[{"ev": "status", "status": "success", "message": "subscribed to: "}]',
        SPACED[:-1],
    ],
)
def test_a_spelling_is_learned_from_an_acknowledgement_that_has_one_of_its_own(line: str) -> None:
    assert learn(GREETING, line) == {"greeting": GREETING}


def test_acknowledgements_of_one_request_in_one_frame_travel_together() -> None:
    assert learn(asks("T.A", "Q.A"), ack("T.A", "Q.A")) == {"acks": "together"}


def test_acknowledgements_of_one_request_in_two_frames_travel_apart() -> None:
    assert learn(asks("T.A", " Q.A"), ack("T.A"), ack("Q.A")) == {"acks": "apart"}


def test_the_answer_to_an_unsubscribe_teaches_as_well() -> None:
    lines = (asks("C.A-B", "C.C-D", action="unsubscribe"), ack("C.A/B", "C.C/D", verb="unsubscribed"))
    assert learn(*lines) == {"acks": "together"}


@pytest.mark.parametrize(
    "lines",
    [
        (asks("T.A"), asks("Q.A"), ack("T.A"), ack("Q.A")),
        (asks("T.A"), asks("Q.A"), ack("T.A", "Q.A")),
        (asks("T.A", "Z.A"), asks("Q.A", "Z.B"), ack("T.A"), ack("Q.A")),
        (asks("T.A", "Z.A"), ack("T.A")),
        (asks("T.A", "T.A"), ack("T.A")),
        ('{"action":"subscribe"', ack("T.A", "Q.A")),
        ('{"action":"subscribe","params":["T.A","Q.A"]}', ack("T.A", "Q.A")),
        ('"subscribe"', ack("T.A", "Q.A")),
        (asks("T.A", "Q.A"), '["status"]', '[{"status":'),
    ],
)
def test_the_framing_is_not_guessed_from_two_requests_or_one_answer(lines: tuple[str, ...]) -> None:
    assert learn(*lines) == {}


def test_the_framing_that_was_learned_first_holds() -> None:
    lines = (asks("T.A", "Q.A"), ack("T.A", "Q.A"), asks("T.B", "Q.B"), ack("T.B"), ack("Q.B"))
    assert learn(*lines) == {"acks": "together"}


def test_who_knows_all_there_is_to_learn_listens_no_more() -> None:
    first = (GREETING, ACCEPTED, asks("T.A", "Q.A"), ack("T.A", "Q.A"))
    assert len(learn(*first)) == 3
    assert learn(*first, asks("T.B", "Q.B"), ack("T.B"), ack("Q.B")) == learn(*first)


def test_a_status_of_any_length_does_not_get_into_a_profile() -> None:
    assert learn(GREETING.replace("Connected", "C" * 5000)) == {}


@given(st.sampled_from(list(PROFILES.values())), st.sampled_from(Framing))
def test_what_is_learned_from_a_conversation_speaks_as_it_did(base: Wording, framing: Framing) -> None:
    era = replace(base, framing=framing)
    conversation, learner = Conversation(era), ProfileLearner()
    known = dict[str, str]()

    def hear(*said: object) -> None:
        for effect in said:
            if isinstance(effect, Say):
                known.update(learner.feed(Sender.SERVER, effect.payload) or {})

    hear(*conversation.open())
    for line in ('{"action":"auth","params":"K"}', asks("T.A", "T.B", "Q.*")):
        learner.feed(Sender.CLIENT, line.encode())
        hear(*conversation.receive(line.encode()))
    again = overlay(DEFAULT, known)
    assert (again.greeting, again.accepted, again.framing) == (era.greeting, era.accepted, era.framing)


@given(st.lists(st.tuples(st.sampled_from(Sender), st.binary() | st.just(b'[{"status":1}]'))))
def test_no_frame_is_too_odd_to_listen_to(frames: list[tuple[Sender, bytes]]) -> None:
    learner = ProfileLearner()
    for sender, payload in frames:
        assert learner.feed(sender, payload) is None
