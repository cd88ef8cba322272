"""From a recorded interaction to what a client is answered.

Recorded bytes are served as they are. Five things alone may differ, and each has a
reason: fields that belonged to the recorded connection (hop-by-hop, and two that
would send a client elsewhere for months) are not served; addresses at the upstream's
origins become this server's, in text bodies, `Location` and its like; a compressed
body is opened when an address in it changes (then closed again with fixed settings)
or when the client does not read its coding (then served plain); where the tape is
moved in time, so are the moments in a body of JSON (which is opened for it, too) and
the field Date; and Content-Length is made right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.codings import accepts, closed, codings_of, opened
from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.dialects.base import Mover
from tickdeck.dialects.moments import Shift, moved_fixdate
from tickdeck.dialects.origins import DIGESTS, Origins, is_rewritten

_NOT_SERVED: Final = frozenset(
    b"connection keep-alive transfer-encoding te trailer upgrade strict-transport-security alt-svc".split()
)
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BREAKS: Final = re.compile(rb"[\r\n\x00]")
_JSON: Final = re.compile(rb"[^;]*json", re.IGNORECASE)
_BODILESS: Final = frozenset((204, 304))


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes to the client; ``headers`` are complete but for the server's own hop-by-hop fields.

    ``rewritten`` counts the addresses that were changed. ``complete`` is false when
    the recorded response broke off: ``body`` is what came, with a Content-Length that
    fits it, and the caller may break the connection as it was broken then.
    ``trouble`` says in one sentence what could not be done, or is empty.
    """

    status: int
    reason: str
    headers: HeaderPairs
    body: bytes
    rewritten: int = 0
    complete: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Body:
    data: bytes
    coded: bool
    rewritten: int = 0
    trouble: str = ""


def answer_of(
    interaction: Interaction,
    *,
    method: str,
    accept_encoding: str | None,
    origins: Origins,
    mover: Mover | None = None,
) -> Answer:
    """The answer to ``method`` from a client with this Accept-Encoding field (``None``: it sent none).

    ``mover`` moves it in time, if the tape is moved.
    """
    headers = _served(interaction.response_headers)
    body = _body(interaction, headers, accept_encoding, _change(interaction, headers, origins, mover))
    headers, readdressed = origins.rewrite_fields(headers)
    if mover is not None:
        headers = _redated(headers, mover.shift)
    if body.data != interaction.body:
        headers = _without(headers, DIGESTS)
    if not body.coded:
        headers = _without(headers, frozenset((b"content-encoding",)))
    data, length = _extent(interaction, method, body.data)
    return Answer(
        status=interaction.status,
        reason="" if _BREAKS.search(interaction.reason.encode("utf-8", "replace")) else interaction.reason,
        headers=_with_length(headers, length),
        body=data,
        rewritten=body.rewritten + readdressed,
        complete=interaction.complete or _is_head_of_other(interaction, method),
        trouble=body.trouble,
    )


def _served(headers: HeaderPairs) -> HeaderPairs:
    """Without what belonged to the recorded connection, and without what no connection could carry."""
    dropped = set(_NOT_SERVED)
    for value in _values(headers, b"connection"):
        dropped.update(name.strip().lower() for name in value.split(b","))
    dropped -= {b"content-type", b"content-encoding", b"content-length"}
    return tuple(
        (name, value)
        for name, value in headers
        if name.lower() not in dropped
        and not name.lower().startswith(b"proxy-")
        and _NAME.fullmatch(name)
        and not _BREAKS.search(value)
    )


def _change(
    interaction: Interaction, headers: HeaderPairs, origins: Origins, mover: Mover | None
) -> Callable[[bytes], tuple[bytes, int]] | None:
    """What is to be done with the plain body, and counts addresses; ``None`` if it is not to be looked into."""
    if not is_rewritten(interaction.status, headers):
        return None
    types = [value.strip() for value in _values(headers, b"content-type")]
    if mover is None or not (types and all(map(_JSON.match, types))):
        return origins.rewrite
    move = mover.body
    return lambda plain: origins.rewrite(move(plain))


def _body(
    interaction: Interaction,
    headers: HeaderPairs,
    accept_encoding: str | None,
    change: Callable[[bytes], tuple[bytes, int]] | None,
) -> _Body:
    field = b",".join(_values(headers, b"content-encoding")).decode("latin-1")
    codings = () if interaction.decoded else codings_of(field)
    if not codings:
        changed, count = change(interaction.body) if change else (interaction.body, 0)
        return _Body(changed, coded=False, rewritten=count)
    accepted = all(accepts(accept_encoding, coding) for coding in codings)
    if (accepted and not change) or not interaction.body:
        return _Body(interaction.body, coded=True)
    plain = opened(interaction.body, codings)
    if plain is None:
        return _Body(interaction.body, coded=True, trouble=_unopened(interaction, codings))
    changed, count = change(plain) if change else (plain, 0)
    if not accepted:
        return _Body(changed, coded=False, rewritten=count)
    data = interaction.body if changed == plain else closed(changed, codings)
    return _Body(data, coded=True, rewritten=count)


def _unopened(interaction: Interaction, codings: Iterable[str]) -> str:
    return (
        f"the recorded body of {interaction.method} interaction {interaction.interaction} "
        f"could not be opened ({', '.join(codings)}); it is served as it was recorded"
    )


def _redated(headers: HeaderPairs, shift: Shift) -> HeaderPairs:
    return tuple(
        (name, moved_fixdate(value.decode("latin-1"), shift).encode("latin-1"))
        if name.lower() == b"date"
        else (name, value)
        for name, value in headers
    )


def _extent(interaction: Interaction, method: str, data: bytes) -> tuple[bytes, bytes | None]:
    """The body that goes out, and the value of Content-Length (``None``: no such field)."""
    if interaction.status in _BODILESS:
        return b"", None
    of_head = interaction.method.upper() == "HEAD"
    if of_head or (not interaction.complete and _is_head_of_other(interaction, method)):
        return b"", next(iter(_values(interaction.response_headers, b"content-length")), None)
    return b"" if method.upper() == "HEAD" else data, b"%d" % len(data)


def _is_head_of_other(interaction: Interaction, method: str) -> bool:
    """Whether only the head is wanted of what was recorded with a body: where that broke off is not to be seen."""
    return method.upper() == "HEAD" and interaction.method.upper() != "HEAD"


def _with_length(headers: HeaderPairs, length: bytes | None) -> HeaderPairs:
    """One Content-Length, where the recorded one stood, else at the end."""
    pairs: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name.lower() != b"content-length":
            pairs.append((name, value))
        elif length is not None:
            pairs.append((name, length))
            length = None
    if length is not None:
        pairs.append((b"Content-Length", length))
    return tuple(pairs)


def _values(headers: HeaderPairs, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]


def _without(headers: HeaderPairs, names: frozenset[bytes]) -> HeaderPairs:
    return tuple(pair for pair in headers if pair[0].lower() not in names)
