"""How a cassette is to be played: each choice a value, made once, before the first client."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypedDict, TypeVar, Unpack

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.choices import (
    AtEnd,
    Channels,
    Clients,
    EventLoop,
    Gaps,
    OnReturn,
    SlowClient,
    Start,
    StartOn,
    TimelineOf,
)
from tickdeck.mockserver.ignoring import NOTHING, Ignored, parse_ignored, parse_matched
from tickdeck.mockserver.moments import Moment, parse_moment
from tickdeck.mockserver.playhead import REAL_TIME, Speed, parse_speed
from tickdeck.mockserver.repeats import Repeats
from tickdeck.mockserver.restlatency import Latency, parse_latency
from tickdeck.mockserver.timeshift import Target, TimeShift, parse_time_shift
from tickdeck.mockserver.wordkinds import check_kinds

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """All of it. Times are nanoseconds; ``port`` 0 is a free one.

    ``begin`` and ``end`` cut a window out of the tape; ``idle_cap_ns`` is the longest stretch
    of tape without a frame that is waited out. ``repeats`` of ``None`` is by-time while the
    tape has a pace, in-order at max. ``ignored`` is what of a request takes no part in finding
    its recording, ``matched`` the header fields that do. ``good_keys`` of ``None`` lets any
    non-empty key in; ``bad_keys`` are refused. ``max_connections`` counts the sockets of one
    key and market. ``stubs`` maps ``GET /path`` to a file, to the bytes of a body, or to a
    mapping with ``body``, ``status``, ``headers`` and ``times``. ``token`` is what the control
    asks for. ``journal`` is the cassette that the run is kept on.
    """

    speed: Speed = REAL_TIME
    start_on: Start = StartOn.SUBSCRIBE
    settle_ns: int = 50 * MILLISECOND
    timeline: TimelineOf = TimelineOf.KEY
    on_return: OnReturn = OnReturn.AUTO
    at_end: AtEnd = AtEnd.HOLD
    begin: Moment | None = None
    end: Moment | None = None
    idle_cap_ns: int | None = None
    gaps: Gaps = Gaps.SILENCE
    time_shift: TimeShift | None = None
    repeats: Repeats | None = None
    rest_latency: Latency | None = None
    ignored: Ignored = NOTHING
    matched: tuple[str, ...] = ()
    stubs: Mapping[str, object] = field(default_factory=dict)
    profile: str | None = None
    good_keys: frozenset[str] | None = None
    bad_keys: frozenset[str] = field(default_factory=frozenset)
    not_entitled: tuple[str, ...] = ()
    max_connections: int | None = None
    slow_client: SlowClient = SlowClient.WAIT
    feed: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    auth_timeout_ns: int = 10 * SECOND
    tls: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    deflate: bool = False
    event_loop: EventLoop = EventLoop.ASYNCIO
    token: str | None = field(default=None, repr=False)
    journal: str | os.PathLike[str] | None = None

    @property
    def effective_loop(self) -> EventLoop:
        """The event loop: what TLS needs of one (`tickdeck.mockserver.secure`), uvloop has not."""
        return EventLoop.ASYNCIO if self.tls or self.tls_cert else self.event_loop


class OptionWords(TypedDict, total=False):
    """The options as a person writes them; times in seconds.

    ``start_on`` is ``connect``, ``auth``, ``subscribe``, ``control``, ``clients:3``, or
    channels that must all be held (a list, or ``T.AAPL,Q.AAPL``). ``begin`` and ``end``
    are ``+90s``, ``09:31:05`` or a full timestamp with its zone.
    """

    speed: str | float | Fraction
    start_on: str | Iterable[str]
    settle: float
    timeline: str
    on_return: str
    at_end: str
    begin: str | None
    end: str | None
    idle_cap: float | None
    gaps: str
    time_shift: str | None
    repeats: str | None
    rest_latency: str | float | None
    ignore: str | Iterable[str]
    match: str | Iterable[str]
    stubs: Mapping[str, str | bytes | Mapping[str, object]]
    profile: str | None
    keys: Iterable[str] | None
    reject_keys: Iterable[str]
    not_entitled: Iterable[str]
    max_connections: int | None
    slow_client: str
    feed: str | None
    host: str
    port: int
    auth_timeout: float
    tls: bool
    tls_cert: str | None
    tls_key: str | None
    deflate: bool
    event_loop: str
    token: str | None
    journal: str | os.PathLike[str] | None


def options_of(**words: Unpack[OptionWords]) -> PlayOptions:
    """`PlayOptions` from the words a person uses; `UsageError` for a word, or a pair of them, that makes no sense."""
    if unknown := sorted(words.keys() - OptionWords.__annotations__.keys()):
        known = ", ".join(sorted(OptionWords.__annotations__))
        raise UsageError(f"there is no option {unknown[0]}; there are {known}")
    check_kinds(words)
    keys, cap, repeats = words.get("keys"), words.get("idle_cap"), words.get("repeats")
    latency = words.get("rest_latency")
    speed, shift = parse_speed(words.get("speed", 1)), words.get("time_shift")
    options = PlayOptions(
        speed=speed,
        start_on=_start_of(words.get("start_on", "subscribe")),
        settle_ns=_nanoseconds("settle", words.get("settle", 0.05)),
        timeline=_choice(TimelineOf, "timeline", words.get("timeline", "key")),
        on_return=_choice(OnReturn, "on return", words.get("on_return", "auto")),
        at_end=_choice(AtEnd, "at end", words.get("at_end", "hold")),
        begin=_moment("from", words.get("begin")),
        end=_moment("to", words.get("end")),
        idle_cap_ns=None if cap is None else _nanoseconds("idle cap", cap),
        gaps=_choice(Gaps, "gaps", words.get("gaps", "silence")),
        time_shift=None if shift is None else parse_time_shift(shift, speed=speed),
        repeats=None if repeats is None else _choice(Repeats, "repeats", repeats),
        rest_latency=None if latency is None else parse_latency(latency),
        ignored=parse_ignored(_names("ignore", words.get("ignore", ()))),
        matched=parse_matched(_names("match", words.get("match", ()))),
        stubs=dict(words.get("stubs", {})),
        profile=words.get("profile"),
        good_keys=None if keys is None else frozenset(_names("keys", keys)),
        bad_keys=frozenset(_names("reject keys", words.get("reject_keys", ()))),
        not_entitled=_channels("not entitled", words.get("not_entitled", ())),
        max_connections=_at_least_one("max connections", words.get("max_connections")),
        slow_client=_choice(SlowClient, "slow client", words.get("slow_client", "wait")),
        feed=words.get("feed"),
        host=unbracketed(words.get("host", "127.0.0.1")),
        port=words.get("port", 0),
        auth_timeout_ns=_nanoseconds("auth timeout", words.get("auth_timeout", 10)),
        tls=words.get("tls", False),
        tls_cert=words.get("tls_cert"),
        tls_key=words.get("tls_key"),
        deflate=words.get("deflate", False),
        event_loop=_choice(EventLoop, "event loop", words.get("event_loop", "asyncio")),
        token=words.get("token"),
        journal=words.get("journal"),
    )
    _refuse_nonsense(options)
    return options


def unbracketed(host: str) -> str:
    """An IPv6 address without the brackets that it has in a URL; any other text as it is."""
    inside = host[1:-1]
    return inside if host == f"[{inside}]" and ":" in inside else host


def _refuse_nonsense(options: PlayOptions) -> None:
    if options.event_loop is EventLoop.UVLOOP and (options.tls or options.tls_cert):
        raise UsageError("tls is served on asyncio's event loop alone; leave event loop at asyncio")
    if not options.host:
        raise UsageError("host must be a name or an address, not empty")
    skips = options.idle_cap_ns is not None or options.gaps is Gaps.SKIP
    if options.time_shift is not None and options.time_shift.to is Target.NOW and skips:
        raise UsageError(
            "time shift now needs the tape as long as it was: with idle cap or gaps skip events would "
            "come from the future; use today or a duration"
        )
    if options.idle_cap_ns == 0:
        raise UsageError("idle cap must be above zero; speed max waits for nothing")
    if not 0 <= options.port <= 65535:
        raise UsageError(f"port must be 0 (a free one) to 65535, not {options.port}")
    start = options.start_on
    if isinstance(start, Clients) and start.count > 1 and options.timeline is TimelineOf.CONNECTION:
        raise UsageError(
            f"start on clients:{start.count} never comes about with timeline connection, "
            "where each has one of its own; share it with timeline key or shared"
        )


Choice = TypeVar("Choice", bound=enum.StrEnum)


def _start_of(words: str | Iterable[str]) -> Start:
    if isinstance(words, str):
        if words in list(StartOn):
            return StartOn(words)
        if words.startswith("clients:"):
            return Clients(_count(words.removeprefix("clients:")))
        words = words.split(",")
    names = tuple(name.strip() for name in _names("start on", words))
    if not names or not all("." in name for name in names):
        found = ",".join(names)
        raise UsageError(
            f"start on is none of {', '.join(StartOn)}, nor clients:N, nor channels like T.AAPL: {found!r}"
        )
    return Channels(names)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"start on clients:N wants a number of clients from 1 up, not {text!r}")
    return int(text)


def _at_least_one(what: str, number: int | None) -> int | None:
    if number is not None and number < 1:
        raise UsageError(f"{what} must be 1 or more, not {number}")
    return number


def _names(what: str, given: Iterable[str]) -> tuple[str, ...]:
    """Several texts, or one alone, which is no sequence of its letters."""
    names = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"{what} must be texts, not {names!r}")
    return names


def _channels(what: str, given: Iterable[str]) -> tuple[str, ...]:
    """Channels, alone or behind commas."""
    channels = tuple(name.strip() for names in _names(what, given) for name in names.split(","))
    for channel in channels:
        kind, dot, symbol = channel.partition(".")
        if not (kind and dot and symbol):
            raise UsageError(f"{what} wants channels like T.AAPL or Q.*, not {channel!r}")
    return channels


def _moment(what: str, text: str | None) -> Moment | None:
    return None if text is None else parse_moment(what, text)


def _choice(choices: type[Choice], what: str, word: str) -> Choice:
    try:
        return choices(word)
    except ValueError:
        raise UsageError(f"{what} is none of {', '.join(choices)}: {word!r}") from None


def _nanoseconds(what: str, seconds: float) -> int:
    if not 0 <= seconds < 1e9:
        raise UsageError(f"{what} must be seconds from 0 up, not {seconds!r}")
    return round(seconds * SECOND)
