"""When a client counts as having taken in what it was sent, moment by moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tickdeck.mockserver.account import Account
from tickdeck.mockserver.lockstep import Lockstep
from tickdeck.mockserver.receipts import (
    PONG_WITHIN_NS,
    QUIET_NS,
    QUIET_WITHIN_NS,
    Receipt,
    Recipient,
    Unsettled,
)

BEGUN = 10**15


class Client(Recipient):
    """A client without a socket: its pings are in ``pings``."""

    def __init__(self, *, lockstep: bool = False) -> None:
        timeline = SimpleNamespace(lockstep=Lockstep())
        session: Any = SimpleNamespace(
            number=1, timeline=timeline, in_lockstep=lockstep, account=Account(), ending=None, turned_out=None
        )
        session.ponged = lambda payload: payload == b"tickdeck 5" and timeline.lockstep.answered(1, 5) is None
        super().__init__(session)
        self.pings: list[bytes] = []
        self.send_ping = self.pings.append

    @property
    def outcome(self) -> str | None:
        return self.session.account.not_waited_for


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_client_has_taken_all_in_when_it_has_answered_and_been_quiet(client: Client) -> None:
    receipt = Receipt(client, BEGUN)
    assert client.pings == [b"tickdeck wait 1"]
    assert receipt.again_ns(BEGUN) == BEGUN + PONG_WITHIN_NS
    assert client.ponged(b"tickdeck wait 1", BEGUN + 5)
    assert receipt.again_ns(BEGUN + 5) == BEGUN + 5 + QUIET_NS
    assert receipt.again_ns(BEGUN + 5 + QUIET_NS) is None
    assert client.outcome is None


def test_a_client_to_which_nothing_has_happened_since_is_not_asked_again(client: Client) -> None:
    receipt = Receipt(client, BEGUN)
    client.ponged(b"tickdeck wait 1", BEGUN)
    assert receipt.again_ns(BEGUN + QUIET_NS) is None
    assert Receipt(client, BEGUN + QUIET_NS).again_ns(BEGUN + QUIET_NS) is None
    client.session.account.wire_bytes += 1
    assert Receipt(client, BEGUN + QUIET_NS).again_ns(BEGUN + QUIET_NS) is not None
    assert client.pings == [b"tickdeck wait 1", b"tickdeck wait 2"]


def test_what_answered_a_client_that_spoke_meanwhile_is_asked_about_too(client: Client) -> None:
    receipt = Receipt(client, BEGUN)
    client.ponged(b"tickdeck wait 1", BEGUN)
    client.heard(BEGUN + 7)
    client.session.account.wire_bytes += 50
    assert receipt.again_ns(BEGUN + QUIET_NS) == BEGUN + 7 + QUIET_NS
    assert receipt.again_ns(BEGUN + 7 + QUIET_NS) is not None
    assert client.pings == [b"tickdeck wait 1", b"tickdeck wait 2"]
    client.ponged(b"tickdeck wait 2", BEGUN + 2 * QUIET_NS)
    assert receipt.again_ns(BEGUN + 3 * QUIET_NS) is None
    assert client.outcome is None


def test_a_client_that_does_not_answer_within_a_second_is_not_waited_for(client: Client) -> None:
    receipt = Receipt(client, BEGUN)
    assert receipt.again_ns(BEGUN + PONG_WITHIN_NS - 1) == BEGUN + PONG_WITHIN_NS
    assert receipt.again_ns(BEGUN + PONG_WITHIN_NS) is None
    assert client.outcome is Unsettled.NO_PONG
    assert receipt.again_ns(BEGUN + PONG_WITHIN_NS) is None


def test_a_client_that_was_given_up_costs_the_next_wait_nothing_until_it_has_answered(client: Client) -> None:
    assert Receipt(client, BEGUN).again_ns(BEGUN + PONG_WITHIN_NS) is None
    client.session.account.wire_bytes += 1
    assert Receipt(client, BEGUN + PONG_WITHIN_NS).again_ns(BEGUN + PONG_WITHIN_NS) is None
    assert client.pings == [b"tickdeck wait 1"]
    client.ponged(b"tickdeck wait 1", BEGUN + PONG_WITHIN_NS)
    assert Receipt(client, BEGUN + PONG_WITHIN_NS).again_ns(BEGUN + PONG_WITHIN_NS) is not None


def test_a_client_that_never_is_quiet_is_not_waited_for_beyond_two_seconds(client: Client) -> None:
    receipt = Receipt(client, BEGUN)
    client.ponged(b"tickdeck wait 1", BEGUN)
    now_ns = BEGUN
    while (again_ns := receipt.again_ns(now_ns)) is not None:
        assert again_ns <= BEGUN + QUIET_WITHIN_NS
        now_ns = again_ns
        client.heard(now_ns - 1)
    assert now_ns == BEGUN + QUIET_WITHIN_NS
    assert client.outcome is Unsettled.NOT_QUIET
    assert Receipt(client, now_ns).again_ns(now_ns) is None, "it still is not quiet"
    assert Receipt(client, now_ns + QUIET_NS).again_ns(now_ns + QUIET_NS) is not None


def test_a_client_that_leaves_is_waited_for_a_moment_only_and_not_named(client: Client) -> None:
    receipt = Receipt(client, BEGUN)
    client.session.account.left = True
    client.left(BEGUN + 3)
    assert receipt.again_ns(BEGUN + 3) == BEGUN + 3 + QUIET_NS, "its program may still read what came last"
    assert Receipt(client, BEGUN + 4).again_ns(BEGUN + 4) == BEGUN + 3 + QUIET_NS
    assert receipt.again_ns(BEGUN + 3 + QUIET_NS) is None
    assert client.outcome is None
    assert client.pings == [b"tickdeck wait 1"]


@pytest.mark.parametrize("end", ["ending", "turned_out"])
def test_a_client_that_was_sent_a_close_answers_by_leaving(client: Client, end: str) -> None:
    setattr(client.session, end, object())
    receipt = Receipt(client, BEGUN)
    assert client.pings == []
    assert receipt.again_ns(BEGUN) == BEGUN + PONG_WITHIN_NS
    assert receipt.again_ns(BEGUN + PONG_WITHIN_NS) is None
    assert client.outcome is Unsettled.NO_CLOSE
    assert Receipt(client, BEGUN).again_ns(BEGUN) is None


def test_in_lockstep_there_is_no_ping_and_the_answer_to_the_last_frame_is_waited_for() -> None:
    client = Client(lockstep=True)
    timeline: Any = client.session.timeline
    timeline.lockstep.expect([1], 4, BEGUN)
    receipt = Receipt(client, BEGUN)
    assert receipt.again_ns(BEGUN) == BEGUN + PONG_WITHIN_NS
    assert client.ponged(b"tickdeck 5", BEGUN)
    assert receipt.again_ns(BEGUN) == BEGUN + QUIET_NS
    assert receipt.again_ns(BEGUN + QUIET_NS) is None
    assert client.pings == []


@pytest.mark.parametrize(
    "payload", [b"", b"tickdeck 1", b"tickdeck wait 2", b"tickdeck wait -1", b"tickdeck wait " + b"9" * 5000]
)
def test_a_pong_that_nobody_asked_for_answers_nothing(client: Client, payload: bytes) -> None:
    receipt = Receipt(client, BEGUN)
    assert not client.ponged(payload, BEGUN)
    assert receipt.again_ns(BEGUN + PONG_WITHIN_NS) is None
    assert client.outcome is Unsettled.NO_PONG


def test_an_answer_to_a_later_ping_answers_those_before(client: Client) -> None:
    receipt = Receipt(client, BEGUN)
    client.session.account.wire_bytes += 1
    Receipt(client, BEGUN)
    assert client.ponged(b"tickdeck wait 2", BEGUN)
    assert not client.ponged(b"tickdeck wait 1", BEGUN)
    assert receipt.again_ns(BEGUN + QUIET_NS) is None
    assert client.outcome is None
