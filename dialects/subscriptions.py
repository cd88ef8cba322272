"""The channels somebody holds.

Subscriptions are a set, never a text: the official Python client joins a set, so one
program asks for ``Q.*,T.MSFT`` in one run and ``T.MSFT,Q.*`` in the next. What is
held and what is wanted differ: who holds ``T.*`` wants ``T.AAPL`` but does not hold
it, and letting go of ``T.AAPL`` then changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from tickdeck.dialects.channels import normalise, wildcard_of

__all__ = ["Subscriptions", "normalise"]


class Subscriptions:
    """A set of channels, wildcards among them; forex pairs are spelled with ``/`` whichever way they came."""

    def __init__(self, channels: Iterable[str] = ()) -> None:
        self._held = {normalise(channel) for channel in channels}

    def add(self, channel: str) -> bool:
        """Hold a channel; whether that is new."""
        before = len(self._held)
        self._held.add(normalise(channel))
        return len(self._held) > before

    def discard(self, channel: str) -> bool:
        """Let a channel go; whether it was held."""
        before = len(self._held)
        self._held.discard(normalise(channel))
        return len(self._held) < before

    def __contains__(self, channel: str) -> bool:
        """Whether exactly this channel is held."""
        return normalise(channel) in self._held

    def __len__(self) -> int:
        return len(self._held)

    def wants(self, channel: str) -> bool:
        """Whether a channel is held, or the wildcard of its topic is; a status (no channel) is on none."""
        return channel != "" and (channel in self or wildcard_of(channel) in self._held)

    @property
    def channels(self) -> tuple[str, ...]:
        """What is held, in order of name."""
        return tuple(sorted(self._held))
