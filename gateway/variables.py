"""What a program beside us finds in its environment: where the deck is, by the names that clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tickdeck.dialects.markets import DEFAULT_MARKET

PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "WSS_PROXY", "WS_PROXY")
"""By the scheme of an address; the last two are aiohttp's and urllib's, for sockets."""

_HERE: Final = ("127.0.0.1", "localhost", "::1")


def addresses(*, http: str, ws: str, feed: str) -> dict[str, str]:
    """REST at ``http``, sockets at ``ws``; ``feed`` is ``HOST:PORT``. docs/recording.md has the table."""
    return {
        "TICKDECK_HTTP": http,
        "TICKDECK_WS": ws,
        "TICKDECK_FEED": feed,
        "POLYGON_WS_URL": f"{ws}/{DEFAULT_MARKET}",
        "DATA_PROXY_WS": f"{ws}/{DEFAULT_MARKET}",
    }


def unproxied(environment: Mapping[str, str], *hosts: str) -> dict[str, str]:
    """NO_PROXY in both spellings: what it was in an environment, this machine, and more hosts.

    A ``*`` stays alone, for it counts in no other company.
    """
    before = [environment.get("NO_PROXY", ""), environment.get("no_proxy", "")]
    names = [name.strip() for each in before for name in each.split(",")]
    joined = "*" if "*" in names else ",".join(dict.fromkeys(filter(None, (*names, *_HERE, *hosts))))
    return {"NO_PROXY": joined, "no_proxy": joined}


def through_proxy(proxy: str, *, straight: str, trusted: tuple[str, str] | None) -> dict[str, str]:
    """What tells libraries of the forward proxy at an address, and whom to trust behind it.

    ``straight`` is what NO_PROXY said before; ``trusted`` are the file of a CA, and one in which it stands beside the
    others. Both spellings are set, for curl reads the lower one of some names, others the upper.
    """
    here = ",".join(filter(None, (straight, *_HERE)))
    proxies = dict.fromkeys(PROXIES, proxy) | {"NO_PROXY": here}
    both = proxies | {name.lower(): value for name, value in proxies.items()} | {"NODE_USE_ENV_PROXY": "1"}
    if trusted is None:
        return both
    ca, bundle = trusted
    return {
        **both,
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), bundle),
        "NODE_EXTRA_CA_CERTS": ca,
    }
