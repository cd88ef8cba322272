"""The header block: what is known when a recording begins.

It carries the minor version (a reader ignores what it does not know of a newer
one) and the features that a reader must know to read on. The provenance is one
map, and holds no host, user, path or argument.
"""

from __future__ import annotations

from tickdeck.cassette.blocks import MINOR
from tickdeck.cassette.errors import FormatError, NewerFormatError
from tickdeck.cassette.packing import BIG, Fields, pack
from tickdeck.cassette.records import Header, Source

FEATURES: frozenset[str] = frozenset()
"""The features this release knows; version 0.1 of the format has none."""


def header_map(header: Header) -> dict[str, object]:
    """The header as the map that the header block and the footer hold."""
    return {
        "minor": MINOR,
        "features": [],
        "epoch_ns": header.epoch_ns,
        "dialect": header.dialect,
        "origins": list(header.origins),
        "source": header.source.value,
        "note": header.note,
        "provenance": {"tool": header.tool, "program": header.program},
    }


def pack_header(header: Header) -> bytes:
    """The payload of the header block."""
    return pack(header_map(header))


def header_of(fields: Fields) -> Header:
    """The header of a header block's or a footer's map."""
    missing = [feature for feature in fields.texts("features") if feature not in FEATURES]
    if missing:
        raise NewerFormatError(f"the cassette needs {', '.join(missing)}, which this release does not know")
    source = fields.text("source", default=Source.RECORDED.value)
    if source not in list(Source):
        raise FormatError(f"the source {source!r} is unknown; known are {', '.join(Source)}")
    provenance = fields.inner("provenance")
    return Header(
        epoch_ns=fields.integer("epoch_ns", low=-BIG),
        dialect=fields.text("dialect"),
        origins=fields.texts("origins"),
        source=Source(source),
        note=fields.text("note", default=""),
        tool=provenance.text("tool", default=""),
        program=provenance.text("program", default=""),
    )


def read_header(payload: bytes) -> Header:
    """The header of a header block's payload."""
    return header_of(Fields(payload, "the header"))
