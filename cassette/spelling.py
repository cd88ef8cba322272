"""Every way in which one secret can stand in bytes.

A secret that was seen once turns up again in other clothes: percent-encoded in a
URL (once or twice), escaped in JSON (or in JSON inside JSON), in base64 at any of
three alignments, in hexadecimal, in UTF-8 or latin-1. Each character has a few spellings, and any
mixture of them is the secret.

Looking for all mixtures is slow, and market data holds none of them, so the question
is asked in two steps. Text without a percent sign and without a backslash can hold a
secret only in a form that is known letter by letter: those are the *probes*, and
looking for them costs a search for a literal. Else a mixture has a letter of the secret
that is escaped: the whole pattern is tried around these letters and around the probes.

Of base64 what is matched is what the secret determines entirely; up to four bits at
either edge, which belong to a neighbour as well, stay.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import quote

from tickdeck.cassette.sieve import Wanted, wanted

_CONTROLS: Final = {"\n": b"n", "\r": b"r", "\t": b"t", "\b": b"b", "\f": b"f"}
_SLASHES: Final = rb"\\\\{0,7}"
"""The backslashes of an escape: JSON inside JSON inside JSON has several."""

_ESCAPED_PLUS: Final = rb"%(?:25){0,2}2[bBdD]|\\{1,8}u002[bBdD]"
_ESCAPED_SLASH: Final = rb"\\{1,8}/|%(?:25){0,2}(?:2[fF]|5[fF])|\\{1,8}u00(?:2[fF]|5[fF])"
"""Of base64, either alphabet's."""

_LONGEST_LETTER: Final = 14
"""Bytes of one escaped letter: eight backslashes and ``u0041``, with one to spare."""

_SHORTEST_PIECE: Final = 8
"""Less of base64 is nobody's."""


_SIMPLE: Final = re.compile(r"[!-$&-\[\]-~]+")
"""ASCII without spaces, percent signs and backslashes: what is written can be read in one way only."""

_UNIT: Final = re.compile(
    rb"%(?:25){0,2}([0-9A-Fa-f]{2})|\\{1,8}(?:u00([0-9A-Fa-f]{2})|x([0-9A-Fa-f]{2})|([\"'/]))"
)
_BEGINS_ESCAPE: Final = frozenset(b"%\\")
_AS_IT_IS: Final = bytes(range(256))
_ONE_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")


class Spelling:
    """One secret, ready to be looked for."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        raw = secret.encode("utf-8", "surrogatepass")
        texts = [raw, secret.encode("latin-1")] if _is_latin(secret) else [raw]
        forms = [raw, quote(raw, safe="").encode("ascii"), json.dumps(secret)[1:-1].encode("ascii")]
        coded = [piece for form in forms for piece in _base64_pieces(form)]
        coded += [digits for text in texts for digits in _hexadecimal(text)]
        self._coded = tuple(piece for piece in dict.fromkeys(coded) if len(piece) >= _SHORTEST_PIECE)
        self._reach = _LONGEST_LETTER * max(map(len, (self.secret, *self._coded)))
        # What a backslash or a letter of two encodings can be mixed with is not told by one letter.
        self._is_plain = secret.isascii() and "\\" not in secret
        self._is_simple = _SIMPLE.fullmatch(secret) is not None
        self.probes: tuple[bytes, ...] = tuple(
            dict.fromkeys(
                [*texts, *(text.replace(b" ", b"+") for text in texts), *_both_alphabets(self._coded)]
            )
        )

    @cached_property
    def wanted(self) -> Wanted:
        """How it is looked for among others."""
        return wanted(self.probes, self._reach)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[bytes], ...]:
        spelled = re.compile(spelled_as(self.secret), re.DOTALL)
        return spelled, *(re.compile(_coded_as(piece)) for piece in self._coded)

    def spans(self, data: bytes, windows: Sequence[tuple[int, int]] | None = None) -> list[tuple[int, int]]:
        """Where the secret stands in ``data`` (in these windows, if it can only be there), in order; none overlap."""
        found = sorted(
            span
            for start, end in (self._windows(data) if windows is None else windows)
            for span in self._found(data, start, end)
        )
        return merged(found)

    def _found(self, data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        if not self._is_simple:
            for pattern in self._patterns:
                yield from (hit.span() for hit in pattern.finditer(data, start, end))
            return
        yield from _read_as(self.secret.encode("ascii"), data, start, end)
        for piece in self._coded:
            yield from _read_as(piece, data, start, end, alphabet=_ONE_ALPHABET)

    def _windows(self, data: bytes) -> list[tuple[int, int]]:
        """Where in ``data`` it can stand at all; apart from each other, in order."""
        if not self._is_plain:
            return [(0, len(data))] if has_escapes(data) or any(map(data.__contains__, self.probes)) else []
        places = [at for probe in self.probes for at in _occurrences(probe, data)]
        if has_escapes(data):
            places += [hit.start() for hit in self._escaped_letter.finditer(data)]
        windows: list[tuple[int, int]] = []
        for at in sorted(places):
            start = max(at - self._reach, 0)
            if windows and start <= windows[-1][1]:
                start = windows.pop()[0]
            windows.append((start, at + self._reach))
        return windows

    @cached_property
    def _escaped_letter(self) -> re.Pattern[bytes]:
        """One letter of the secret, or of its base64, by an escape."""
        letters = dict.fromkeys(self.secret)
        forms = [form for letter in letters for form in _escapes(letter)]
        if any(byte in b"+/" for piece in self._coded for byte in piece):
            forms += [_ESCAPED_PLUS, _ESCAPED_SLASH]
        return re.compile(b"|".join(dict.fromkeys(forms)))


def _read_as(
    text: bytes, data: bytes, start: int, end: int, *, alphabet: bytes = _AS_IT_IS
) -> Iterator[tuple[int, int]]:
    """Where a simple text stands between two places, each letter as it is or by an escape.

    Letters are equal when ``alphabet`` translates them to the same.
    """
    for hit in _beginnings(text[:1], alphabet).finditer(data, start, end):
        at = hit.start()
        if at >= start and (stop := _read_from(at, text, data, alphabet)):
            yield at, stop
            start = stop


@lru_cache(maxsize=256)
def _beginnings(letter: bytes, alphabet: bytes) -> re.Pattern[bytes]:
    alike = bytes(byte for byte in range(256) if alphabet[byte] == alphabet[letter[0]])
    return re.compile(b"[" + re.escape(alike) + rb"%\\]")


def _read_from(at: int, text: bytes, data: bytes, alphabet: bytes) -> int:
    """Where the text ends if it begins here, else 0."""
    for letter in text:
        byte = data[at] if at < len(data) else -1
        if byte in _BEGINS_ESCAPE:
            unit = _UNIT.match(data, at)
            if unit is None:
                return 0
            digits = unit[1] or unit[2] or unit[3]
            byte, at = int(digits, 16) if digits else unit[4][0], unit.end() - 1
        if byte < 0 or alphabet[byte] != alphabet[letter]:
            return 0
        at += 1
    return at


def has_escapes(data: bytes) -> bool:
    """Whether characters can be spelled by other than themselves here."""
    return b"%" in data or b"\\" in data


def merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted spans, those that overlap as one."""
    apart: list[tuple[int, int]] = []
    for start, end in spans:
        if apart and start < apart[-1][1]:
            start, last = apart.pop()
            end = max(end, last)
        apart.append((start, end))
    return apart


def spelled_as(text: str, *, any_case: bool = False) -> bytes:
    """A pattern for ``text`` with each character raw, percent-encoded or escaped."""
    pieces = re.findall(r"\\+|[^\\]", text)
    return b"".join(_run(piece) if piece[0] == "\\" else _letter(piece, any_case) for piece in pieces)


def _run(backslashes: str) -> bytes:
    """Backslashes are told from escapes by nothing: as many or more of them, up to eight each."""
    count = len(backslashes)
    escapes = rb"%(?:25){0,2}5[cC]|\\{1,8}(?:u005[cC]|x5[cC])"
    return rb"(?:(?:%b){%d}|\\{%d,%d})" % (escapes, count, count, 8 * count)


def _letter(letter: str, any_case: bool) -> bytes:
    letters = sorted({letter, letter.lower(), letter.upper()}) if any_case else [letter]
    forms = [form for each in letters if len(each) == 1 for form in _forms(each)]
    return b"(?:" + b"|".join(dict.fromkeys(forms)) + b")"


def _forms(letter: str) -> list[bytes]:
    """The longer before the shorter: a percent sign begins its own escape, and latin-1 for Ã its own UTF-8."""
    raw = letter.encode("utf-8", "surrogatepass")
    forms = _escapes(letter)
    if letter == " ":
        forms.append(rb"\+")
    forms.append(re.escape(raw))
    if not letter.isascii() and _is_latin(letter):
        byte = letter.encode("latin-1")
        forms += [_percent(byte), _SLASHES + b"x" + _hex(byte.hex()), re.escape(byte)]
    return forms


def _escapes(letter: str) -> list[bytes]:
    """The forms of a letter that are not itself."""
    raw = letter.encode("utf-8", "surrogatepass")
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    forms = [
        _percent(raw),
        b"".join(_SLASHES + b"u" + _hex(units[at : at + 4]) for at in range(0, len(units), 4)),
        b"".join(_SLASHES + b"x" + _hex(f"{byte:02x}") for byte in raw),
    ]
    if letter in _CONTROLS:
        forms.append(_SLASHES + _CONTROLS[letter])
    if letter in "\"'/":
        forms.append(_SLASHES + letter.encode("ascii"))
    return forms


def _occurrences(literal: bytes, data: bytes) -> Iterator[int]:
    at = data.find(literal)
    while at >= 0:
        yield at
        at = data.find(literal, at + 1)


def _percent(raw: bytes) -> bytes:
    """Percent-encoded, up to three times over."""
    return b"".join(b"%(?:25){0,2}" + _hex(f"{byte:02x}") for byte in raw)


def _hex(digits: str) -> bytes:
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits).encode("ascii")


def _is_latin(text: str) -> bool:
    return all(character <= "\xff" for character in text)


def _base64_pieces(raw: bytes) -> list[bytes]:
    """What of the base64 of any text around ``raw`` is certain, at each alignment."""
    pieces = []
    for before in range(3):
        after = -(before + len(raw)) % 3
        whole = base64.b64encode(bytes(before) + raw + bytes(after))
        pieces.append(whole[-(-8 * before // 6) : 8 * (before + len(raw)) // 6])
    return pieces


def _hexadecimal(raw: bytes) -> list[bytes]:
    """In small digits and in capital ones."""
    digits = raw.hex()
    return [digits.encode("ascii"), digits.upper().encode("ascii")]


def _both_alphabets(pieces: tuple[bytes, ...]) -> list[bytes]:
    return [*pieces, *(piece.translate(bytes.maketrans(b"+/", b"-_")) for piece in pieces)]


def _coded_as(piece: bytes) -> bytes:
    """A pattern for base64 of either alphabet, itself percent-encoded or escaped where that is usual."""
    units = {
        ord("+"): rb"(?:[+\-]|" + _ESCAPED_PLUS + b")",
        ord("/"): rb"(?:/|_|" + _ESCAPED_SLASH + b")",
    }
    return b"".join(units.get(byte, bytes((byte,))) for byte in piece)
