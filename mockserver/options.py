"""How a cassette is to be played: each choice a value, made once, before the first client."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypeAlias, TypeVar

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.playhead import REAL_TIME, Speed, parse_speed
from tickdeck.mockserver.shelf import Repeats

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000


class StartOn(enum.StrEnum):
    """What starts a timeline."""

    CONNECT = "connect"
    AUTH = "auth"
    SUBSCRIBE = "subscribe"


@dataclass(frozen=True, slots=True)
class Channels:
    """Start when all of these are held: exact, whatever a bot's timing."""

    names: tuple[str, ...]


Start: TypeAlias = StartOn | Channels


class OnReturn(enum.StrEnum):
    """What a client finds that comes back when its timeline has nobody left.

    ``auto``: after a loss that the server caused it resumes; after the client's own
    leaving the tape starts anew.
    """

    AUTO = "auto"
    RESUME = "resume"
    REWIND = "rewind"


class AtEnd(enum.StrEnum):
    """What a socket does at the end of the tape: ``hold`` stays open and silent, ``close`` closes with 1000."""

    HOLD = "hold"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """All of it. Times are nanoseconds; ``port`` 0 is a free one.

    ``repeats`` of ``None`` is by-time while the tape has a pace, in-order at max.
    ``good_keys`` of ``None`` lets any non-empty key in; ``bad_keys`` are refused.
    """

    speed: Speed = REAL_TIME
    start_on: Start = StartOn.SUBSCRIBE
    settle_ns: int = 50 * MILLISECOND
    on_return: OnReturn = OnReturn.AUTO
    at_end: AtEnd = AtEnd.HOLD
    repeats: Repeats | None = None
    profile: str | None = None
    good_keys: frozenset[str] | None = None
    bad_keys: frozenset[str] = field(default_factory=frozenset)
    not_entitled: tuple[str, ...] = ()
    feed: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    auth_timeout_ns: int = 10 * SECOND

    @property
    def effective_repeats(self) -> Repeats:
        """The policy for a request that is asked again."""
        if self.repeats is not None:
            return self.repeats
        return Repeats.IN_ORDER if self.speed.factor is None else Repeats.BY_TIME


Choice = TypeVar("Choice", bound=enum.StrEnum)


def options_of(
    *,
    speed: str | float | Fraction = 1,
    start_on: str | Iterable[str] = "subscribe",
    settle: float = 0.05,
    on_return: str = "auto",
    at_end: str = "hold",
    repeats: str | None = None,
    profile: str | None = None,
    keys: Iterable[str] | None = None,
    reject_keys: Iterable[str] = (),
    not_entitled: Iterable[str] = (),
    feed: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    auth_timeout: float = 10,
) -> PlayOptions:
    """`PlayOptions` from the words a person uses; times in seconds. Raises `UsageError` for a word it does not know.

    ``start_on`` is ``connect``, ``auth``, ``subscribe``, or channels that must all be
    held (a list, or ``T.AAPL,Q.AAPL``).
    """
    return PlayOptions(
        speed=parse_speed(speed),
        start_on=_start_of(start_on),
        settle_ns=_nanoseconds("settle", settle),
        on_return=_choice(OnReturn, "on return", on_return),
        at_end=_choice(AtEnd, "at end", at_end),
        repeats=None if repeats is None else _choice(Repeats, "repeats", repeats),
        profile=profile,
        good_keys=None if keys is None else frozenset(keys),
        bad_keys=frozenset(reject_keys),
        not_entitled=tuple(not_entitled),
        feed=feed,
        host=host,
        port=port,
        auth_timeout_ns=_nanoseconds("auth timeout", auth_timeout),
    )


def _start_of(words: str | Iterable[str]) -> Start:
    if isinstance(words, str):
        if words in list(StartOn):
            return StartOn(words)
        words = words.split(",")
    names = tuple(name.strip() for name in words)
    if not names or not all("." in name for name in names):
        found = ",".join(names)
        raise UsageError(f"start on is none of {', '.join(StartOn)}, nor channels like T.AAPL: {found!r}")
    return Channels(names)


def _choice(choices: type[Choice], what: str, word: str) -> Choice:
    try:
        return choices(word)
    except ValueError:
        raise UsageError(f"{what} is none of {', '.join(choices)}: {word!r}") from None


def _nanoseconds(what: str, seconds: float) -> int:
    if not 0 <= seconds < 1e9:
        raise UsageError(f"{what} must be seconds from 0 up, not {seconds!r}")
    return round(seconds * SECOND)
