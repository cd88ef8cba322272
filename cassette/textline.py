"""One line of JSON that somebody wrote, asked for its fields by name and type.

Whatever is wrong with it is said with the line's number, what was found and what is
allowed, for the one who reads that has the file open in an editor. A field that nobody
asked for is an error as well: a name that is spelled wrongly must not be a silent
nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NoReturn

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.packing import BIG
from tickdeck.cassette.records import BINARY, PING, PONG, TEXT, HeaderPairs, Sender

OPCODES: Final = {"text": TEXT, "binary": BINARY, "ping": PING, "pong": PONG}
_SENDERS: Final = {"server": Sender.SERVER, "client": Sender.CLIENT}
_EVERY_LINE: Final = frozenset(("kind", "v", "seq", "offset_ns", "at", "time"))
_DEFAULT_KINDS: Final = (("payload", "frame"), ("payload_base64", "frame"), ("url", "interaction"))
_LONGEST_SHOWN: Final = 80
_SPACE: Final = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
"""White space, and the strings in which it is meant."""


class Line:
    """One line, asked for its fields by name and type."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self._text = text.lstrip("\ufeff").strip()
        self._fields = self._parsed()
        self.kind = self._kind()
        self._asked = set(_EVERY_LINE)

    def _parsed(self) -> Mapping[str, object]:
        try:
            value: object = json.loads(self._text, parse_float=Decimal, parse_constant=_no_constant)
        except RecursionError:
            self.fail("it is nested too deeply")
        except json.JSONDecodeError as error:
            self.fail(f"this is no JSON: {error.msg.lower()} at column {error.colno}")
        except ValueError as error:
            self.fail(f"this is no JSON: {error}")
        if not isinstance(value, dict):
            self.fail("this is no JSON object")
        return value

    def _kind(self) -> str:
        kind = self._fields.get("kind")
        if kind is None:
            kind = next((kind for field, kind in _DEFAULT_KINDS if field in self._fields), None)
        if not isinstance(kind, str):
            self.fail("kind is missing")
        return kind

    def fail(self, sentence: str) -> NoReturn:
        """Say what is wrong with this line."""
        raise UsageError(f"line {self.number}: {sentence}")

    def wrong(self, name: str, should: str) -> NoReturn:
        """Say what a field should be."""
        found = json.dumps(self._fields.get(name), default=str)
        if len(found) > _LONGEST_SHOWN:
            found = f"{found[:_LONGEST_SHOWN]}..."
        self.fail(f"{name} is {should}: {found}")

    def has(self, name: str) -> bool:
        """Whether there is such a field with something in it."""
        self._asked.add(name)
        return self._fields.get(name) is not None

    def says_null(self, name: str) -> bool:
        """Whether the field is there with nothing in it."""
        self._asked.add(name)
        return name in self._fields and self._fields[name] is None

    def count(self, name: str, default: int) -> int:
        """A number that is not negative."""
        return self.integer(name, default, low=0)

    def integer(self, name: str, default: int, *, low: int = 1 - BIG) -> int:
        """A whole number that fits a cassette."""
        value = self._fields[name] if self.has(name) else default
        if type(value) is not int or not low <= value < BIG:
            self.wrong(name, "not a whole number" if low else "not a whole number from 0 on")
        return value

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self._fields[name] if self.has(name) else default
        if not isinstance(value, str):
            self.wrong(name, "not a string")
        self._storable(name, value)
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._fields[name] if self.has(name) else default
        if not isinstance(value, bool):
            self.wrong(name, "neither true nor false")
        return value

    def sender(self, name: str) -> Sender:
        """Who it was, the server if it is not said."""
        value = self._fields[name] if self.has(name) else "server"
        sender = _SENDERS.get(value) if isinstance(value, str) else None
        if sender is None:
            self.wrong(name, "neither server nor client")
        return sender

    def opcode(self) -> int:
        """By name, or by number."""
        value = self._fields["opcode"] if self.has("opcode") else "text"
        opcode = OPCODES.get(value) if isinstance(value, str) else value
        if type(opcode) is not int or opcode not in OPCODES.values():
            self.wrong("opcode", f"none of {', '.join(OPCODES)}")
        return opcode

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self._fields[name] if self.has(name) else []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(name, "not a list of strings")
        self._storable(name, *value)
        return tuple(value)

    def texts(self, name: str) -> dict[str, str]:
        """An object whose values are strings."""
        value = self._fields[name] if self.has(name) else {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            self.wrong(name, "not an object of strings")
        self._storable(name, *value, *value.values())
        return dict(value)

    def _storable(self, name: str, *texts: str) -> None:
        """JSON can spell half a character; a cassette cannot keep it."""
        try:
            for text in texts:
                text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            self.wrong(name, "not text that UTF-8 can hold")

    def pairs(self, name: str, default: HeaderPairs = ()) -> HeaderPairs:
        """Header fields: a list of ``[name, value]``, or an object."""
        if not self.has(name):
            return default
        value = self._fields[name]
        items: object = list(value.items()) if isinstance(value, dict) else value
        pairs = [_latin_pair(item) for item in items] if isinstance(items, list) else [None]
        if None in pairs:
            self.wrong(name, "not a list of [name, value] in latin-1")
        return tuple(pair for pair in pairs if pair is not None)

    def data(self, name: str) -> bytes:
        """Bytes: a string, JSON as it is written here, or base64 under another name."""
        if self.has(f"{name}_base64"):
            if self.has(name):
                self.fail(f"{name} and {name}_base64 are both there")
            return self._base64(f"{name}_base64")
        value = self._fields[name] if self.has(name) else ""
        if isinstance(value, dict | list):
            value = _SPACE.sub(r"\1", self._raw(name))
        if not isinstance(value, str):
            self.wrong(name, "neither a string nor JSON")
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            self.wrong(name, "not text that UTF-8 can hold")

    def _base64(self, name: str) -> bytes:
        try:
            return base64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError):
            self.wrong(name, "no base64")

    def _raw(self, name: str) -> str:
        """A field as it stands in the line, of which it is known that it is JSON."""
        decoder = json.JSONDecoder(parse_float=Decimal)
        found, at = "", 1
        while (at := self._past(" \t\r\n,", at)) < len(self._text) - 1:
            key, at = decoder.raw_decode(self._text, at)
            start = self._past(" \t\r\n:", at)
            _, at = decoder.raw_decode(self._text, start)
            if key == name:
                found = self._text[start:at]
        return found

    def _past(self, letters: str, at: int) -> int:
        while self._text[at] in letters:
            at += 1
        return at

    def offset(self, previous: int) -> int:
        """``offset_ns``, or ``at`` in seconds, or where the line before was."""
        if not self.has("at"):
            return self.integer("offset_ns", previous)
        if self.has("offset_ns"):
            self.fail("at and offset_ns are both there")
        nanoseconds = _exact(str(self._fields["at"]))
        if nanoseconds is None:
            self.wrong("at", "not a number of seconds with nine decimals at most")
        return nanoseconds

    def finish(self, *ignored: str) -> None:
        """Nothing is left that was not asked for."""
        unknown = self._fields.keys() - self._asked - set(ignored)
        if unknown:
            self.fail(f"a line of kind {self.kind} has no field {', '.join(sorted(unknown))}")


def _latin_pair(item: object) -> tuple[bytes, bytes] | None:
    match item:
        case (str(name), str(value)) | [str(name), str(value)]:
            try:
                return name.encode("latin-1"), value.encode("latin-1")
            except UnicodeEncodeError:
                return None
    return None


def _exact(seconds: str) -> int | None:
    """Seconds as whole nanoseconds, if they are that."""
    try:
        nanoseconds = Decimal(seconds).scaleb(9)
        if abs(nanoseconds) < BIG and nanoseconds == nanoseconds.to_integral_value():
            return int(nanoseconds)
    except ArithmeticError:
        pass
    return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
