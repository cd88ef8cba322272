"""What the service says of itself: every status whose words are known, by name.

Status objects are always ``ev``, ``status``, ``message`` in that order, without
spaces, and always have a message: the official Python client fails without one. The
words are the vendor's to the letter, slips included (``access real-time data``, the
space that ends one of them). A status that is only known to exist has no entry here,
for words that nobody saw are not invented; `ONLY_KNOWN_BY_NAME` lists those.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii
from typing import Final

ONLY_KNOWN_BY_NAME: Final = frozenset({"force_disconnect", "auth_required", "failed", "successful"})
"""Statuses named in the source of clients; no frame with one of them was ever published."""


NO_SOCKETS: Final = "Your plan doesn't include websocket access."
_TOO_MANY: Final = "Maximum number of websocket connections exceeded. "
_LIMIT_REACHED: Final = (
    "You have reached the connection limit for your account. "
    "Please contact support at https://polygon.io/contact to increase your limit."
)
_DELAYED: Final = (
    "You don't have access real-time data. If your plan only includes delayed data, "
    "you can connect to the delayed websocket at wss://delayed.polygon.io/stocks."
)
_AGREEMENTS: Final = (
    "If you're already subscribed to a plan that includes real-time data, "
    "you may need to visit the dashboard to sign your agreements."
)


class Status(enum.Enum):
    """A status and its message; ``{channel}`` stands for what was asked for."""

    CONNECTED = ("connected", "Connected Successfully")
    AUTHENTICATED = ("auth_success", "authenticated")
    AUTHENTICATED_2019 = ("success", "authenticated")
    SUBSCRIBED = ("success", "subscribed to: {channel}")
    UNSUBSCRIBED = ("success", "unsubscribed to: {channel}")

    KEY_REFUSED = ("auth_failed", "authentication failed")
    KEY_REFUSED_AS_ERROR = ("error", "authentication failed")
    """2019-05 to 2021-02."""
    KEY_INVALID = ("auth_failed", "invalid API key")
    """After the prose of the 2019 page; never observed on the wire, and what this project says by default."""
    NO_SOCKETS_IN_PLAN = ("auth_failed", f"{NO_SOCKETS} Visit https://polygon.io/pricing to upgrade.")
    NO_SOCKETS_IN_PLAN_2025 = ("auth_failed", f"{NO_SOCKETS} Visit https://massive.com/pricing to upgrade.")
    AUTH_TIMEOUT = ("auth_timeout", "No authentication request received.")

    MAX_CONNECTIONS = ("max_connections", _TOO_MANY)
    MAX_CONNECTIONS_LONG = ("max_connections", _TOO_MANY + _LIMIT_REACHED)
    MAX_CONNECTIONS_2020 = ("max_connections", "Maximum number of connections exceeded.")
    DISCONNECTED = ("disconnected", "Reason: Max connections reached")
    """How an eviction was said in 2019 and 2020."""

    SLOW_CONSUMER = ("slow_consumer", "Slow consumer.")
    """Named in the source of the official client; its message is this project's own, for none was published."""

    NOT_AUTHORIZED = ("error", "not authorized")
    DELAYED_ONLY = ("error", _DELAYED)
    DELAYED_ONLY_2026 = ("error", f"{_DELAYED} {_AGREEMENTS}")
    """Published as the words above with their beginning left out; it is taken to be unchanged."""
    SUBSCRIPTION_LIMIT = (
        "error",
        "Subscription limit reached for feed. Please remove some subscriptions and try again.",
    )

    def __init__(self, status: str, message: str) -> None:
        self.status = status
        self.message = message
        quoted = encode_basestring_ascii(message)
        head, self._names_channel, tail = quoted.partition("{channel}")
        self._head = f'{{"ev":"status","status":"{status}","message":{head}'
        self._tail = tail + "}"


def render(status: Status, *, channel: str = "") -> bytes:
    """One status object as it stands on the wire; ``channel`` fills the place of the words that have one."""
    named = encode_basestring_ascii(channel)[1:-1] if status._names_channel else ""
    return f"{status._head}{named}{status._tail}".encode("ascii")


def frame(objects: Iterable[bytes]) -> bytes:
    """A frame of these objects: a JSON array without spaces."""
    return b"[" + b",".join(objects) + b"]"
