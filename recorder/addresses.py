"""Where the upstream is, and what its addresses are called.

An upstream is an origin: scheme, host and maybe a port. A path is refused, for the
client's own path follows it unchanged.
"""

from __future__ import annotations

import re
from typing import Final

from tickdeck.cassette.errors import UsageError

_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>[\w.\-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?/?",
    re.IGNORECASE | re.ASCII,
)

_SECRET: Final = re.compile(r"(?<=//)[^/@]*@|\?.*", re.DOTALL)
"""Where a key may stand in an address: before the host, and in the query."""


def origin(text: str, *, schemes: tuple[str, str]) -> str:
    """The origin that ``text`` spells; UsageError when it spells none with one of these schemes."""
    match = _ORIGIN.fullmatch(text.strip())
    if match is None or match["scheme"].lower() not in schemes or int(match["port"] or 0) > 65535:
        allowed = " or ".join(f"{scheme}://HOST[:PORT]" for scheme in schemes)
        shown = _SECRET.sub("", text)
        raise UsageError(f"{shown!r} is no upstream; give {allowed}, without a path")
    return text.strip().rstrip("/")


def authority(of_origin: str) -> str:
    """Host and port, as they stand in a Host field."""
    return of_origin.partition("://")[2]


def host_of(of_origin: str) -> str:
    """The host alone."""
    host = authority(of_origin)
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def address(host: str, port: int) -> str:
    """``host:port`` for a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
