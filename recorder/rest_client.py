"""Each path of ``--get``, asked once and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from tickdeck.cassette.errors import RecordingError
from tickdeck.recorder.addresses import authority
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.notices import Answered, Notify, Trouble
from tickdeck.recorder.rest_proxy import exchange_of
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.upstream import Response, Upstream

_UNAUTHORIZED: Final = 401
_SAID: Final = 200


async def fetch(
    paths: Sequence[str], *, key: str, upstream: Upstream, intake: Intake, clock: Clock, notify: Notify
) -> None:
    """Ask for each path in turn. RecordingError when the service is not there, or refuses the key."""
    headers = (
        (b"Host", authority(upstream.ways.http).encode()),
        (b"Accept", b"application/json"),
        (b"Accept-Encoding", b"gzip"),
        (b"Authorization", b"Bearer " + key.encode()),
        (b"User-Agent", b"tickdeck"),
    )
    for path in paths:
        started_ns = clock.now_ns()
        incoming = await upstream.ask("GET", path, headers=headers)
        head = exchange_of(
            incoming.with_body(b""),
            started_ns,
            method="GET",
            url=upstream.ways.http + path,
            request_headers=headers,
        )
        keeping, body = intake.answer(head), bytearray()
        while piece := await incoming.next():
            keeping.take(piece)
            body += piece
        keeping.end(incoming.end_ns, complete=incoming.complete)
        response = incoming.with_body(bytes(body))
        notify(Answered(path, response.status, len(body)))
        if not response.complete:
            notify(Trouble(f"the answer to GET {path} broke off; what came of it is kept"))
        if response.status == _UNAUTHORIZED:
            raise RecordingError(f"the service refused the key: {words_of(response)}")


def words_of(refusal: Response) -> str:
    """What the service says in its refusal, as far as that can be read."""
    try:
        said = json.loads(refusal.body)
        return str(said.get("error") or said.get("message") or refusal.reason)
    except (ValueError, AttributeError, RecursionError):
        return refusal.body[:_SAID].decode("ascii", "replace") or refusal.reason
