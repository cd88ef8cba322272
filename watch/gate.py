"""Who may drive the deck: a program on this machine, or whoever says the token; never a page in a browser.

A browser runs the pages of strangers on the user's own machine, so that an address on
loopback proves nothing by itself. What it says for itself does: ``Origin`` and
``Sec-Fetch-Site`` tell which page made a request, and ``Host`` what name it believes
it is talking to, which gives away a stranger's name that was made to point here
(DNS rebinding).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_BEARER: Final = "bearer"
_OWN_SITES: Final = ("same-origin", "none")
"""Of ``Sec-Fetch-Site``: a page of this server, or the user's own hand."""
_PORTS: Final = {"http": 80, "https": 443}
_ORIGIN: Final = re.compile(r"(https?)://(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Refused:
    """Not to be answered: an HTTP status, and why."""

    status: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of who makes it: the addresses of its two ends, and all values of these header fields."""

    peer: str | None
    here: str | None
    secure: bool = False
    host: Sequence[str] = ()
    origin: Sequence[str] = ()
    site: Sequence[str] = ()
    authorization: Sequence[str] = ()


class Gate:
    """Lets callers through or not. ``host`` is what the server was told to listen on.

    ``hint`` is what a stranger is told who would need a token where there is none.
    """

    def __init__(
        self, host: str, *, token: str | None, hint: str = "the server has no token; see --control-token-env"
    ) -> None:
        self._hint = hint
        self._host = host.lower()
        self._token = None if token is None else token.encode("utf-8", "surrogateescape")

    @property
    def notes(self) -> list[str]:
        """What is to be said about it at the start."""
        if self._token is None and not _is_loopback(self._host):
            return ["the control answers this machine only; --control-token-env lets others drive it"]
        return []

    def refusal(self, caller: Caller) -> Refused | None:
        """Why this caller may not drive the deck, if it may not."""
        return self._wrong_host(caller) or _foreign_page(caller) or self._no_token(caller)

    def _wrong_host(self, caller: Caller) -> Refused | None:
        named = _host_of(caller.host[0]) if len(caller.host) == 1 else None
        if named is not None and (_is_loopback(named) or named in (self._host, caller.here)):
            return None
        return Refused(
            403,
            "the control is asked for by another server's name; use the address that the server listens on",
        )

    def _no_token(self, caller: Caller) -> Refused | None:
        if self._token is None:
            if caller.peer is not None and _is_loopback(caller.peer):
                return None
            return Refused(403, f"the control answers this machine only, for {self._hint}")
        if len(caller.authorization) == 1:
            scheme, _, said = caller.authorization[0].partition(" ")
            token = said.strip().encode("utf-8", "surrogateescape")
            if scheme.lower() == _BEARER and hmac.compare_digest(token, self._token):
                return None
        return Refused(401, "the control wants its token; send it as Authorization: Bearer TOKEN")


def _foreign_page(caller: Caller) -> Refused | None:
    """A page in a browser that is not of this server."""
    own = f"{'https' if caller.secure else 'http'}://{caller.host[0] if caller.host else ''}"
    strange = [each for each in caller.origin if _origin(each) is None or _origin(each) != _origin(own)]
    strange += [each for each in caller.site if each.lower() not in _OWN_SITES]
    return Refused(403, "a page of another origin cannot drive the deck") if strange else None


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; ``None`` for what is no origin, such as ``null``."""
    found = _ORIGIN.fullmatch(text.lower())
    if found is None:
        return None
    scheme, address, name, port = found.groups()
    return scheme, address or name, int(port or _PORTS[scheme])


def _host_of(field: str) -> str | None:
    """The name or address in a ``Host`` field, in lower case."""
    origin = _origin(f"http://{field}")
    return None if origin is None else origin[1]


def _is_loopback(host: str) -> bool:
    """Whether it is a name or address of this machine's that nobody else can reach."""
    if host == "localhost":
        return True
    address = _address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
