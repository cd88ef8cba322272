"""Bodies of REST messages, as redaction and audit look into them.

A player serves a compressed body that is damaged as it came, and is right to. Here
every byte that can be read has to be read: a body that broke off, or that has rubbish
behind it, is opened as far as it goes, and one that does not say it is compressed but
shows it is opened, too. What cannot be opened at all (damage, a bomb) is ``None``.

A body too large for one row of a cassette is cut into parts, where no secret lies across
the border.
"""

from __future__ import annotations

from typing import Final

from tickdeck.cassette.codings import codings_of
from tickdeck.cassette.records import HeaderPairs

WHOLE_LIMIT: Final = 16 << 20
"""A body under a coding is kept whole up to this, as it crossed the wire; a larger one decoded, in parts."""

PART_SIZE: Final = 256 << 10
"""So much is looked through at once; nothing else happens in the meantime."""

PLAIN_LIMIT: Final = PART_SIZE + (64 << 10)
"""A body under no coding is kept whole up to this; a larger one is the same bytes in parts."""

_MAGIC: Final = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_DIGESTS: Final = frozenset((b"content-md5", b"content-digest", b"repr-digest", b"digest"))


def coding_of(headers: HeaderPairs, body: bytes) -> tuple[str, ...]:
    """The codings a body is under, in the order they were applied: those that are said, else what shows."""
    said = b",".join(value for name, value in headers if name.lower() == b"content-encoding")
    codings = codings_of(said.decode("latin-1"))
    if codings:
        return codings
    return tuple(coding for magic, coding in _MAGIC.items() if body.startswith(magic))


def for_changed_body(headers: HeaderPairs, size: int) -> HeaderPairs:
    """The headers of a body that was changed: a Content-Length that fits, no digests of what it was."""
    length = b"%d" % size
    return tuple(
        (name, length if name.lower() == b"content-length" else value)
        for name, value in headers
        if name.lower() not in _DIGESTS
    )
