"""What stands around a command of the user's: its environment, and a detour for the addresses written into it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, ParamSpec

from tickdeck.gateway.detour import Detour, can_detour
from tickdeck.gateway.front import Elsewhere
from tickdeck.gateway.variables import through_proxy, unproxied

NOT_CAUGHT: Final = (
    "only a command that reads TICKDECK_HTTP and its like is heard; pip install 'tickdeck[tls]' also catches "
    "https and wss addresses of the vendor that are written into it"
)


DISTRUSTED: Final = (
    "a client asked for {host} and did not take our certificate, for it trusts a list of its own; "
    "docs/recording.md tells how such a client is reached"
)

Told = ParamSpec("Told")


@dataclass(frozen=True, slots=True)
class Server:
    """Ours, that a command is to find: for whom it answers, where it listens, whether it speaks TLS by itself.

    ``variables`` are those that say so.
    """

    origins: tuple[str, ...]
    host: str
    port: int
    variables: Mapping[str, str]
    speaks_tls: bool = False


@asynccontextmanager
async def surroundings(
    server: Server,
    *,
    elsewhere: Elsewhere | None,
    tell_host: Callable[[str, bool], None],
    tell_lack: Callable[[str], None],
) -> AsyncIterator[dict[str, str]]:
    """The environment of a command; what it names is there as long as it is entered.

    ``elsewhere`` is its way to hosts that are not ours, if there is one. ``tell_host`` hears of each such
    host once, and whether it was let through; ``tell_lack`` what cannot be done here.
    """
    ours = {**os.environ, **server.variables, **unproxied(os.environ, server.host)}
    if not can_detour():
        tell_lack(NOT_CAUGHT)
        yield ours
        return
    detour = Detour(
        server.origins,
        host=server.host,
        port=server.port,
        speaks_tls=server.speaks_tls,
        elsewhere=elsewhere,
        on_other=_once(tell_host),
        on_distrust=_once(lambda host: tell_lack(DISTRUSTED.format(host=host))),
    )
    async with detour:
        straight = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        yield {**ours, **through_proxy(detour.proxy, straight=straight, trusted=detour.trusted)}


def _once(tell: Callable[Told, None]) -> Callable[Told, None]:
    """The same, but nothing twice."""
    told: set[object] = set()

    def hear(*parts: Told.args, **named: Told.kwargs) -> None:
        if parts not in told:
            told.add(parts)
            tell(*parts, **named)

    return hear
