"""A run once more, without a clock or a socket: what each client was sent, from the tape and the journal.

What a client is sent is a pure function of the cassette, the options and the list of
its messages with the places on the tape at which they took effect. Here it is that
function: the same conversation and the same reel as in a live session, told the places
instead of asking a playhead for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tickdeck import dialects
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.records import TEXT
from tickdeck.dialects.channels import topic_of
from tickdeck.dialects.conversation import Conversation, Keys
from tickdeck.dialects.effects import Authenticated, Effect, Say, Subscribed, Unsubscribed
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.cutter import Cutter
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.recordedwords import words_of
from tickdeck.mockserver.reel import Reel
from tickdeck.mockserver.rundown import ClientRun, Rundown
from tickdeck.mockserver.tape import Tapes


class Rerun(NamedTuple):
    """What one client was sent: the frames of the tape, and all (statuses at their places), in wire form."""

    client: int
    data: bytes
    wire: bytes


def rerun(cassette: Readable, options: PlayOptions, run: Rundown) -> Iterator[Rerun]:
    """Each client of a run, in the order of their coming."""
    tapes = tapes_of(cassette, run)
    cutters: dict[str, Cutter] = {}
    for number, client in sorted(run.clients.items()):
        cutter = cutters.setdefault(client.market, Cutter(tapes.of(client.market)))
        data, wire = _Client(cassette, options, run, client, cutter).all()
        yield Rerun(number, data, wire)


def tapes_of(cassette: Readable, run: Rundown) -> Tapes:
    """The tapes as they were played in a run."""
    tapes = Tapes(cassette, feed=run.facts.text("feed") or None)
    stop_ns = run.facts.maybe("stop_ns")
    if run.begin_ns or stop_ns is not None:
        tapes.cut_to(run.begin_ns, stop_ns)
    return tapes


class _Client:
    def __init__(
        self, cassette: Readable, options: PlayOptions, run: Rundown, client: ClientRun, cutter: Cutter
    ) -> None:
        self._client = client
        self._run = run
        self._reel = Reel(cutter, cursor=0)
        dialect = dialects.find(cassette.header.dialect)
        self._conversation = Conversation(
            dialect.wording(options.profile, words_of(cassette, dialect)),
            market=client.market,
            keys=Keys(closed=client.joined is None),
            not_entitled=Subscriptions(options.not_entitled),
            also=frozenset(map(topic_of, cutter.tape.channels)),
        )

    def all(self) -> tuple[bytes, bytes]:
        """The frames of the tape, and everything."""
        self._carry_out(self._conversation.open(), self._client.connected.cursor)
        for heard in self._client.heard:
            receive = (
                self._conversation.receive if heard.opcode == TEXT else self._conversation.receive_binary
            )
            self._carry_out(receive(heard.payload), heard.place.cursor)
        data, wire = [], []
        while (batch := self._reel.take(self._client.reached)) is not None:
            wire.append(bytes(batch.wire))
            if batch.frames:
                data.append(wire[-1])
        return b"".join(data), b"".join(wire)

    def _carry_out(self, effects: list[Effect], at: int) -> None:
        for effect in effects:
            match effect:
                case Say(payload):
                    self._reel.say(payload, at=at)
                case Authenticated():
                    self._join()
                case Subscribed(channels):
                    self._reel.change(channels, held=True, at=at)
                case Unsubscribed(channels):
                    self._reel.change(channels, held=False, at=at)

    def _join(self) -> None:
        joined, playback = self._client.joined, self._client.playback
        assert joined is not None
        assert playback is not None
        course = self._run.playbacks[playback].course(self._client.turned)
        self._reel.begin_at(joined.cursor, course)
