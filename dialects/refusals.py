"""How the service refuses a REST request: status, body, and which field carries the words.

Bodies are compact JSON. 401 and 429 say ``error``, 403 and 404 say ``message``;
``request_id`` is 32 lower-case hex digits and equals the ``X-Request-Id`` field.
Refusals carry no ``Retry-After`` and no rate-limit fields.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

CONTENT_TYPE: Final = "application/json"
REQUEST_ID: Final = "X-Request-Id"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of refusal: HTTP status, the word under ``status``, and the words under ``field``."""

    http: int
    status: str
    field: str
    words: str

    def body(self, request_id: str) -> bytes:
        """The body as it stands on the wire."""
        return _compact({"status": self.status, "request_id": request_id, self.field: self.words})

    def headers(self, request_id: str) -> dict[str, str]:
        """The fields that go with the body."""
        return {"Content-Type": CONTENT_TYPE, REQUEST_ID: request_id}


def bad_key(words: str) -> Refusal:
    """The refusal of a key, in a profile's words (`tickdeck.dialects.profiles.Wording.bad_key`)."""
    return Refusal(401, "ERROR", "error", words)


def _forbidden(words: str) -> Refusal:
    return Refusal(403, "NOT_AUTHORIZED", "message", words)


def _not_found(words: str) -> Refusal:
    return Refusal(404, "NOT_FOUND", "message", words)


def not_recorded(sentence: str) -> Refusal:
    """A request that is not on the cassette, in the shape of the service's 404."""
    return _not_found(sentence)


_UPGRADE: Final = "Please upgrade your plan at"
_TOO_MANY: Final = (
    "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
)

NO_KEY: Final = Refusal(401, "ERROR", "error", "API Key was not provided")
NOT_ENTITLED: Final = _forbidden(f"You are not entitled to this data. {_UPGRADE} https://polygon.io/pricing")
NOT_ENTITLED_2025: Final = _forbidden(
    f"You are not entitled to this data. {_UPGRADE} https://massive.com/pricing"
)
TIMEFRAME: Final = _forbidden(
    f"Your plan doesn't include this data timeframe. {_UPGRADE} https://polygon.io/pricing"
)
TICKER_NOT_FOUND: Final = _not_found("Ticker not found.")
DATA_NOT_FOUND: Final = _not_found("Data not found.")
OPTION_NOT_FOUND: Final = _not_found("Option Ticker not found.")
RATE_LIMIT: Final = Refusal(429, "ERROR", "error", f"{_TOO_MANY} https://polygon.io/pricing")
RATE_LIMIT_2025: Final = Refusal(429, "ERROR", "error", f"{_TOO_MANY} https://massive.com/pricing")


def missing_row(ticker: str) -> bytes:
    """How a v3 snapshot says, under status 200, that it has no such ticker: one row among the others."""
    return _compact({"error": "NOT_FOUND", "message": "Ticker not found.", "ticker": ticker})


def _compact(fields: dict[str, str]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii")
