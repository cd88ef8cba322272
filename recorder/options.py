"""What a recording is asked to be, as one value."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects import find
from tickdeck.dialects.markets import DEFAULT_MARKET, FEEDS
from tickdeck.recorder.clock import SECOND_NS
from tickdeck.recorder.rotation import Limits
from tickdeck.recorder.talk import Patience


@dataclass(frozen=True, slots=True)
class Options:
    """What to record, how, and onto what.

    With ``subscribe`` or ``gets`` the recorder is a client, else a proxy at
    ``listen_host`` and ``listen_port`` (0: a free one). Upstreams are origins; left
    out, they are the vendor's. ``for_ns`` counts from the start; ``until_wall_ns`` is
    a time of the wall clock (ns since 1970). ``metrics`` is where the numbers have a
    port of their own; a proxy has them on its own in any case. ``secrets`` are redacted
    wherever they turn up, like ``key``. ``for_command``: whose requests are waited for is known, and
    that none came is a verdict; with ``strict_hosts`` it gets to the vendor only.
    ``limits`` say when a long recording goes on in another segment; a power failure costs
    what came in the last ``sync_ns``. ``only`` are the channels whose frames are kept, if not all are.
    With ``append`` a recording that is there goes on, in a further segment.
    """

    output: str | os.PathLike[str]
    replace: bool = False
    upstream_http: str | None = None
    upstream_ws: str | None = None
    listen_host: str = "127.0.0.1"
    listen_port: int = 8421
    metrics: tuple[str, int] | None = None
    market: str = DEFAULT_MARKET
    feed: str = FEEDS[0]
    subscribe: tuple[str, ...] = ()
    gets: tuple[str, ...] = ()
    key: str | None = None
    secrets: tuple[str, ...] = ()
    for_ns: int | None = None
    until_wall_ns: int | None = None
    seed: int = 0
    dialect: str = "polygon"
    note: str = ""
    program: str = ""
    trust_env: bool = False
    for_command: bool = False
    strict_hosts: bool = False
    limits: Limits = field(default_factory=Limits)
    sync_ns: int = SECOND_NS
    only: tuple[str, ...] = ()
    append: bool = False
    patience: Patience = field(default_factory=Patience)

    @property
    def is_client(self) -> bool:
        """Whether the recorder asks for itself."""
        return bool(self.subscribe or self.gets)

    def check(self) -> None:
        """UsageError for what makes no sense."""
        if self.is_client and not self.key:
            raise UsageError("recording as a client needs an API key; none was given")
        dialect = find(self.dialect)
        _among("market", self.market, dialect.markets)
        if self.upstream_ws is None:
            _among("feed", self.feed, dialect.feeds)
        for path in self.gets:
            if not path.startswith("/"):
                shown = path.partition("?")[0]  # a key may stand behind it
                raise UsageError(
                    f"{shown!r} is no path; give one that begins with a slash, as /v3/trades/AAPL"
                )
        if any(not channel.strip() or "," in channel for channel in self.subscribe):
            raise UsageError("a channel is a topic and a symbol, as T.MSFT or AM.*")


def _among(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UsageError(f"there is no {what} {given!r}; there are {', '.join(known)}")
