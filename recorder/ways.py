"""Which upstream a request goes to, and whether the client knows that it has come to a recorder.

A client whose base URL is the recorder's asks it by its own address; what it is given is
rewritten to that address. One that came through the forward proxy asked for the vendor by
name: it goes to just that host, and is given what the vendor says, to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass

from tickdeck.dialects.base import Dialect
from tickdeck.recorder.addresses import host_of


@dataclass(frozen=True, slots=True)
class Ways:
    """Origins of REST (``http``) and of sockets (``ws``); ``hosts`` are the names of the vendor's.

    Where an origin was chosen by the user (``http_is_fixed``, ``ws_is_fixed``) it stands for all of them.
    """

    http: str
    ws: str
    hosts: frozenset[str] = frozenset()
    http_is_fixed: bool = False
    ws_is_fixed: bool = False

    def is_by_name(self, host: str | None) -> bool:
        """Whether a request with this field Host asked for the vendor by name."""
        return _bare(host) in self.hosts

    def http_for(self, host: str | None) -> str:
        """The origin that a REST request goes to."""
        return self.http if self.http_is_fixed or not self.is_by_name(host) else f"https://{_bare(host)}"

    def ws_for(self, host: str | None) -> str:
        """The origin that a socket is opened to."""
        return self.ws if self.ws_is_fixed or not self.is_by_name(host) else f"wss://{_bare(host)}"


def _bare(host: str | None) -> str:
    """A host without the port that goes without saying."""
    return (host or "").lower().removesuffix(":443").removesuffix(":80")


def dialect_hosts(dialect: Dialect) -> frozenset[str]:
    """The hosts of a vendor's service, REST and sockets."""
    return frozenset(host_of(origin).lower() for origin in dialect.origins)
