"""Text that came from outside, made fit to be printed.

A channel, a path, a note or an error of a library holds whatever somebody sent: half a
surrogate, which no encoding can write; an escape sequence, which a terminal obeys; a
line break, which makes a second line of a log. All of these become visible escapes
(``\\x1b``, ``\\n``, ``\\u202e``, ``\\ud800``). A backslash stays as it is: a path of Windows is
to be read, not parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

_NAMED: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_UNFIT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: ESC and CSI are among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of the letters behind it
    "\u2028\u2029"  # line breaks for some terminals and readers
    "\ufeff"
    "\ud800-\udfff]"  # halves of a character
)
_NOT_ASCII: Final = re.compile("[^\x00-\x7f]")


def one_line(text: str) -> str:
    """The text as a piece of one line: nothing in it acts on a terminal or ends the line."""
    return text if text.isascii() and text.isprintable() else _UNFIT.sub(_escape, text)


def lines(text: str) -> str:
    """Text of ours that may have several lines, and tabs."""
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))


def values(value: object) -> object:
    """The same value with every text in it made one line; keys too."""
    match value:
        case str():
            return one_line(value)
        case Mapping():
            return {values(name): values(part) for name, part in value.items()}
        case list() | tuple():
            return type(value)(map(values, value)) if type(value) in (list, tuple) else value
    return value


def json_line(value: object) -> str:
    """JSON in one line, any script as itself. What is unfit is an escape of JSON: nothing is lost."""
    return json_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def json_text(text: str) -> str:
    """The same for JSON that is made already."""
    return text if text.isascii() and text.isprintable() else _UNFIT.sub(_escape_of_json, text)


def json_encodable(text: str, encoding: str | None) -> str:
    """JSON for an encoding that may have few letters: the others are escapes of JSON."""
    try:
        text.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return text


def encodable(text: str, encoding: str | None) -> str:
    """The text as far as ``encoding`` has letters for it, the rest as escapes."""
    name = encoding or "ascii"
    try:
        return text.encode(name, "backslashreplace").decode(name)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    code = ord(letter)
    return _NAMED.get(letter) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _escape_of_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
