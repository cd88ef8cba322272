"""A record as a msgpack row, and back.

A row is ``[kind, seq, offset_ns, ...]``: the kind's number and then the record's
fields in the order of its class. It is canonical: the same record gives the same
bytes, so that rows can be compared and digested. The write-ahead segments hold
rows, the side of a chunk holds rows, and the content digest is taken over the
rows of all records in sequence order.

The table below is the whole of it. A row of an unknown kind, of another length or
with a value of another type is a FormatError: what a later version adds to rows
stands under a feature's name in the header, and a reader that does not know the
feature does not read on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from tickdeck.cassette.errors import FormatError, UsageError
from tickdeck.cassette.packing import BIG, pack, unpack
from tickdeck.cassette.records import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    HeaderPairs,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)

MAX_ROW: Final = 32 << 20
"""The longest row: a larger body is kept in parts."""

_OPCODES: Final = frozenset((TEXT, BINARY, PING, PONG))

_Check: TypeAlias = Callable[[object], object]


def _number(value: object) -> int:
    if type(value) is int and -BIG < value < BIG:
        return value
    raise ValueError(value)


def _count(value: object) -> int:
    if type(value) is int and 0 <= value < BIG:
        return value
    raise ValueError(value)


def _optional(value: object) -> int | None:
    return None if value is None else _count(value)


def _sender(value: object) -> Sender:
    if type(value) is int:
        return Sender(value)
    raise ValueError(value)


def _either(value: object) -> Sender | None:
    return None if value is None else _sender(value)


def _opcode(value: object) -> int:
    if type(value) is int and value in _OPCODES:
        return value
    raise ValueError(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(value)


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    raise ValueError(value)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(value)


def _pairs(value: object) -> HeaderPairs:
    if not isinstance(value, list):
        raise ValueError(value)
    return tuple(_pair(pair) for pair in value)


def _pair(pair: object) -> tuple[bytes, bytes]:
    match pair:
        case [bytes(name), bytes(content)]:
            return name, content
    raise ValueError(pair)


def _mapping(value: object) -> Mapping[str, str]:
    if isinstance(value, dict):
        return {_text(key): _text(item) for key, item in value.items()}
    raise ValueError(value)


class _Shape(NamedTuple):
    """How one kind of record is laid out."""

    number: int
    make: Callable[..., Record]
    values: Callable[[Record], tuple[object, ...]]
    checks: tuple[_Check, ...]


def _shape(number: int, make: Callable[..., Record], **fields: _Check) -> _Shape:
    checks = {"seq": _count, "offset_ns": _number, **fields}
    return _Shape(number, make, attrgetter(*checks), tuple(checks.values()))


_SHAPES: Final[dict[type, _Shape]] = {
    TrackOpened: _shape(
        1,
        TrackOpened,
        track=_count,
        market=_text,
        feed=_text,
        url=_text,
        request_headers=_pairs,
        response_headers=_pairs,
    ),
    Frame: _shape(2, Frame, track=_count, sender=_sender, opcode=_opcode, payload=_bytes),
    TrackClosed: _shape(3, TrackClosed, track=_count, by=_either, code=_optional, reason=_text),
    Interaction: _shape(
        4,
        Interaction,
        first_byte_ns=_number,
        end_ns=_number,
        interaction=_count,
        method=_text,
        url=_text,
        status=_count,
        reason=_text,
        request_headers=_pairs,
        request_body=_bytes,
        response_headers=_pairs,
        body=_bytes,
        body_parts=_count,
        decoded=_flag,
        complete=_flag,
    ),
    BodyPart: _shape(5, BodyPart, interaction=_count, data=_bytes),
    Gap: _shape(6, Gap, end_ns=_number, market=_text, reason=_text),
    Anchor: _shape(7, Anchor, wall_ns=_number),
    Profile: _shape(8, Profile, values=_mapping),
}
_BY_NUMBER: Final = {shape.number: shape for shape in _SHAPES.values()}


def encode_row(record: Record) -> bytes:
    """The record's row; UsageError for one that no cassette can hold."""
    shape = _SHAPES[type(record)]
    values = shape.values(record)
    if type(record) is Profile:
        values = (record.seq, record.offset_ns, dict(sorted(record.values.items())))
    try:
        row = pack((shape.number, *values))
    except (UnicodeEncodeError, OverflowError) as error:
        raise UsageError(f"record {record.seq} does not fit a cassette: {error}") from error
    if len(row) > MAX_ROW:
        raise UsageError(f"record {record.seq} takes {len(row)} bytes, a cassette holds {MAX_ROW} at most")
    if not _reads(record, row):
        raise UsageError(f"record {record.seq} does not fit a cassette: a number in it is out of range")
    return row


def _reads(record: Record, row: bytes) -> bool:
    """Whether a reader will take the row. Frames, of which there are many, are looked at without decoding."""
    if type(record) is Frame:
        numbers = 0 <= record.seq < BIG > record.track >= 0 and -BIG < record.offset_ns < BIG
        return numbers and record.opcode in _OPCODES
    try:
        decode_row(row)
    except FormatError:
        return False
    return True


def decode_row(row: bytes) -> Record:
    """The record of a row; FormatError when it is not one."""
    return record_of(unpack(row))


def record_of(row: object) -> Record:
    """The record of a row that is unpacked already."""
    if not isinstance(row, list) or not row or type(row[0]) is not int:
        raise FormatError("a row is not an array that begins with its kind")
    number, *values = row
    shape = _BY_NUMBER.get(number)
    if shape is None:
        raise FormatError(f"a row of kind {number} is unknown to this release")
    if len(values) != len(shape.checks):
        raise FormatError(f"a row of kind {number} has {len(values)} fields, not {len(shape.checks)}")
    try:
        return shape.make(*(check(value) for check, value in zip(shape.checks, values, strict=True)))
    except ValueError as error:
        raise FormatError(f"a row of kind {number} holds a value that does not belong there") from error
