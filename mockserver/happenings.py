"""What happened, to be asked: the entries of a journal, filtered, and claims about them that explain themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from tickdeck.cassette.errors import said_by_us
from tickdeck.dialects.subscriptions import Subscriptions
from tickdeck.mockserver.asked import Asked
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.targets import decode_pairs, segments

__tracebackhide__ = said_by_us
_SHOWN: Final = 20
"""Of a long list, so many are shown by a failed claim."""


class Happenings(list[Entry]):
    """Entries of the journal in order; `docs/playing.md` has their kinds and parts.

    Each filter gives `Happenings` again: ``market.journal.of("subscribed", client=1).channel("T.AAPL")``.
    """

    def of(self, *kinds: str, client: int | None = None, timeline: int | None = None) -> Happenings:
        """Those of these kinds (all, if none is named), of one client or timeline."""
        return Happenings(
            each
            for each in self
            if (not kinds or each.kind in kinds)
            and client in (None, each.client)
            and timeline in (None, each.timeline)
        )

    def between(self, from_ns: int, to_ns: int) -> Happenings:
        """Those at positions ``[from_ns, to_ns)`` of the tape, in nanoseconds."""
        return Happenings(
            each for each in self if each.position_ns is not None and from_ns <= each.position_ns < to_ns
        )

    def channel(self, channel: str) -> Happenings:
        """Subscriptions and their ends that name a channel, or the wildcard of its topic."""
        return Happenings(each for each in self if Subscriptions(channels_of(each)).wants(channel))

    @property
    def requests(self) -> Happenings:
        """REST requests, also those that missed: ``parts`` has ``method``, ``url``, and ``status`` or ``sentence``."""
        return self.of("request", "miss")

    @property
    def actions(self) -> Happenings:
        """What clients asked for on a socket: a key that was taken or refused, subscriptions, missteps."""
        return self.of("authenticated", "refused", "subscribed", "unsubscribed", "misstep")

    @property
    def subscriptions(self) -> Happenings:
        """``subscribed`` and ``unsubscribed``, each with its ``channels``."""
        return self.of("subscribed", "unsubscribed")

    @property
    def pings(self) -> Happenings:
        """Each was answered with a pong."""
        return self.of("ping")

    @property
    def closes(self) -> Happenings:
        """Clients that left: ``by`` whom, with which ``code`` (``None``: without a close) and ``reason``."""
        return self.of("left")

    @property
    def missteps(self) -> Happenings:
        """What the vendor would not have answered."""
        return self.of("misstep")


def channels_of(entry: Entry) -> tuple[str, ...]:
    """The channels that an entry names."""
    named = entry.parts.get("channels")
    return tuple(map(str, named)) if isinstance(named, Sequence) and not isinstance(named, str) else ()


def assert_subscribed(journal: Happenings, channels: Iterable[str]) -> None:
    """See `tickdeck.mockserver.handles.Market.assert_subscribed`."""
    held = sorted({name for each in journal.of("subscribed") for name in channels_of(each)})
    missing = [channel for channel in channels if not Subscriptions(held).wants(channel)]
    if missing:
        refused = journal.of("refused")
        why = (
            "a key was refused; "
            if refused
            else ""
            if journal.of("authenticated")
            else "nobody authenticated; "
        )
        raise AssertionError(f"no client subscribed to {_some(missing)}; {why}subscribed were: {_some(held)}")


def assert_requested(journal: Happenings, request: str, times: int | None) -> None:
    """See `tickdeck.mockserver.handles.Market.assert_requested`."""
    asked = [f"{each.parts['method']} {each.parts['url']}" for each in journal.requests]
    found = sum(_is(each, request) for each in asked)
    if found == times or (times is None and found):
        return
    wanted = "" if times is None else f" {times} times, but {found}"
    counted = [f"{each} ({count} times)" if count > 1 else each for each, count in Counter(asked).items()]
    raise AssertionError(f"{request} was not asked{wanted}; asked were: {_some(counted)}")


def assert_no_missteps(journal: Happenings) -> None:
    """See `tickdeck.mockserver.handles.Market.assert_no_missteps`."""
    made = [
        f"{each.doer}: {each.parts.get('misstep')}, {each.parts.get('detail')}" for each in journal.missteps
    ]
    if made:
        raise AssertionError(f"{len(made)} misstep{'s' if len(made) > 1 else ''}: {_some(made)}")


def _is(asked: str, request: str) -> bool:
    """Whether it is this request: method and path, and at least the parameters that are named."""
    wanted, given = (Asked.of(*each.partition(" ")[::2]) for each in (request, asked))
    same = (wanted.method.upper(), segments(wanted.path)) == (given.method, segments(given.path))
    return same and Counter(decode_pairs(wanted.query)) <= Counter(decode_pairs(given.query))


def _some(things: Sequence[str]) -> str:
    shown = ", ".join(things[:_SHOWN]) or "nothing"
    return f"{shown} and {len(things) - _SHOWN} more" if len(things) > _SHOWN else shown
