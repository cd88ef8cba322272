"""Everything that leads a command to our server which only knows the vendor's address: a front, and a CA to trust."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from types import TracebackType
from typing import Self

from tickdeck.gateway.front import Elsewhere, Front, Own
from tickdeck.gateway.identity import HERE, Identity, hosts_of, identity_of


class Detour:
    """While entered, the forward proxy listens and its CA is on disk; then both are gone.

    ``origins`` are those of the vendor, and of whatever else is answered here. ``host`` and ``port`` are our server's;
    with ``speaks_tls`` it has an identity of its own. UsageError where the extra ``tls`` is missing.
    """

    def __init__(
        self,
        origins: Iterable[str],
        *,
        host: str,
        port: int,
        speaks_tls: bool = False,
        elsewhere: Elsewhere | None,
        on_other: Callable[[str, bool], None],
        on_distrust: Callable[[str], None],
    ) -> None:
        self.proxy = ""
        names = hosts_of(origins, host=host)
        self._identity: Identity | None = None if speaks_tls else identity_of(True, None, None, hosts=names)
        context = None if self._identity is None else self._identity.context
        # This machine by its own name is no host of the vendor: whatever port is asked for there is meant.
        own = Own(host, port, frozenset(names) - {*HERE, host}, context)
        self._front = Front(own, elsewhere=elsewhere, on_other=on_other, on_distrust=on_distrust)

    @property
    def trusted(self) -> tuple[str, str] | None:
        """The file of the CA, and one in which it stands beside those trusted anyway; ``None`` if it has none."""
        if self._identity is None or (bundle := self._identity.bundle()) is None:
            return None
        return os.fspath(self._identity.ca_file or ""), os.fspath(bundle)

    async def __aenter__(self) -> Self:
        self.proxy = await self._front.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._front.stop()
        if self._identity is not None:
            self._identity.close()


def can_detour() -> bool:
    """Whether the extra ``tls`` is installed."""
    return find_spec("trustme") is not None
