"""Whether a client has taken in what it was sent, as far as its line can tell.

What has left this process may still lie in buffers of the system. A ping sent behind
the last frame is answered once the client's library has read all that lay before it;
a moment of quiet behind the answer is time for the client's program. A program that
lags more than that cannot be seen from here.

What one wait knows of one client is a `Receipt`. It is asked again and again, says
when next, and ends: the client has taken all in, or is not waited for any longer.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from tickdeck.mockserver.session import Session

PONG_WITHIN_NS: Final = 1_000_000_000
"""How long a client may take to answer."""

QUIET_WITHIN_NS: Final = 2_000_000_000
"""How long a client may take to become quiet."""

QUIET_NS: Final = 50_000_000
"""Without a message for so long, behind its answer, a client counts as quiet."""


class Unsettled(enum.StrEnum):
    """Why a client was no longer waited for."""

    NO_PONG = "no-pong"
    NO_CLOSE = "no-close"
    NOT_QUIET = "not-quiet"


WORDS: Final = {
    Unsettled.NO_PONG: f"it had not answered a ping within {PONG_WITHIN_NS // 10**9} s",
    Unsettled.NO_CLOSE: f"it had not left within {PONG_WITHIN_NS // 10**9} s of being closed",
    Unsettled.NOT_QUIET: f"it had not been quiet within {QUIET_WITHIN_NS // 10**9} s",
}


class Recipient:
    """One connected client: what it was asked by pings, and what came of it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.send_ping: Callable[[bytes], None] = lambda payload: None
        """Sends a ping behind what the client was sent."""
        self.settled_at: tuple[int, int] | None = None
        """What had been exchanged when it was last found to have taken in everything."""
        self.last_sign_ns = 0
        """When it last sent a message, answered a ping, or left."""
        self._messages = 0
        self._pings = 0
        self._answered = 0

    def heard(self, now_ns: int) -> None:
        """It sent a message."""
        self._messages += 1
        self.last_sign_ns = now_ns

    def left(self, now_ns: int) -> None:
        """It has left; its program may still read what came last."""
        self.last_sign_ns = now_ns

    def ping(self) -> None:
        """Ask for a sign behind what it was sent; in lockstep each frame is answered anyway."""
        if self.session.in_lockstep or self.closing or self.gone:
            return
        self._pings += 1
        self.send_ping(b"tickdeck wait %d" % self._pings)

    def ponged(self, payload: bytes, now_ns: int) -> bool:
        """A pong came; whether it answers a ping of ours. An answer to a later one answers those before."""
        if self.session.ponged(payload):
            self.last_sign_ns = now_ns
            return True
        word, _, number = payload.rpartition(b" ")
        if word != b"tickdeck wait" or not number.isdigit() or len(number) > len(str(self._pings)):
            return False
        if not self._answered < int(number) <= self._pings:
            return False
        self._answered, self.last_sign_ns = int(number), now_ns
        return True

    @property
    def has_answered(self) -> bool:
        """Whether it has answered all that it was asked."""
        timeline = self.session.timeline
        waited_for = timeline is not None and timeline.lockstep.waits_for(self.session.number)
        return self._answered == self._pings and not waited_for

    @property
    def gone(self) -> bool:
        """Whether it has left."""
        return self.session.account.left

    @property
    def closing(self) -> bool:
        """Whether it was sent a close, and so cannot be sent a ping."""
        return self.session.ending is not None or self.session.turned_out is not None

    @property
    def exchanged(self) -> tuple[int, int]:
        """Bytes that it was sent, but for pongs and these pings, and messages that came of it."""
        return self.session.account.wire_bytes, self._messages


class Receipt:
    """One client, in one wait."""

    def __init__(self, client: Recipient, now_ns: int) -> None:
        self._client = client
        self._since_ns = self._pinged_ns = now_ns
        self._at = client.exchanged
        self._over = not client.gone and (client.settled_at == self._at or self._is_given_up(now_ns))
        if not self._over:
            self._ping(now_ns)

    def again_ns(self, now_ns: int) -> int | None:
        """When to look again, at the latest; ``None`` once nothing more is waited for."""
        if self._over:
            return None
        again_ns, unsettled = self._look(now_ns)
        if unsettled is not None:
            self._client.session.account.not_waited_for = unsettled
        self._over = again_ns is None
        return again_ns

    def _look(self, now_ns: int) -> tuple[int | None, Unsettled | None]:
        client, until_ns = self._client, self._since_ns + QUIET_WITHIN_NS
        if client.gone:
            left_ns = client.last_sign_ns + QUIET_NS
            return (left_ns, None) if now_ns < left_ns else (None, None)
        if client.closing or not client.has_answered:
            until_ns = min(self._pinged_ns + PONG_WITHIN_NS, until_ns)
            late = Unsettled.NO_CLOSE if client.closing else Unsettled.NO_PONG
            return (until_ns, None) if now_ns < until_ns else (None, late)
        if now_ns < (quiet_ns := client.last_sign_ns + QUIET_NS):
            return (min(quiet_ns, until_ns), None) if now_ns < until_ns else (None, Unsettled.NOT_QUIET)
        if client.exchanged[1] == self._at[1]:
            client.settled_at = self._at
            return None, None
        self._ping(now_ns)  # it has spoken since, and what answered it lies behind the ping
        return min(now_ns + PONG_WITHIN_NS, until_ns), None

    def _ping(self, now_ns: int) -> None:
        self._at, self._pinged_ns = self._client.exchanged, now_ns
        self._client.ping()

    def _is_given_up(self, now_ns: int) -> bool:
        """Whether it still is as it was when it was last given up."""
        client = self._client
        match client.session.account.not_waited_for:
            case Unsettled.NOT_QUIET:
                return now_ns < client.last_sign_ns + QUIET_NS
            case Unsettled.NO_PONG:
                return not client.has_answered
            case Unsettled.NO_CLOSE:
                return True
        return False
