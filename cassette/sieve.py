"""Which of many secrets can stand in some bytes, at a cost that does not grow with their number.

A secret of sixteen characters, in whatever spelling, is nearly always a long run of
*letters*: printable ASCII but for what separates things in JSON and CSV (quotes, colons,
commas, brackets, spaces). Market data has no such runs. An escape (``%4a``, ``\\u004a``,
``\\/``) is made of letters, too, so a run stays one however it is escaped. So three
questions are asked, and few bytes get to the second:

1. Is there a run of sixteen letters at all (of more, if all the secrets have more)? One translation, one search.
2. Does the run hold eight letters in a row that a secret's first run holds as well? Of
   sixteen letters in a row, one group of eight begins at a multiple of nine, so that
   only every ninth group is looked up, in one table for all secrets.
3. Then that secret is looked for around there, in every spelling: see `spelling`.

In an escaped run the letters are read first. What stands before a secret can look like
an escape together with its beginning (``%`` before ``41...``); that swallows six
letters at most (``252525`` behind a percent sign), and what follows is read as it was
written. Of sixteen letters ten are left in a row, and every third group is looked up.

A secret without such a run (``my pass word: 12``) is asked for by itself, each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

RUN: Final = 16
"""Letters in a row from which on they can be a secret's."""

_GROUP: Final = 8
_STEP: Final = RUN - _GROUP + 1
_SWALLOWED: Final = 6
_STEP_ESCAPED: Final = RUN - _SWALLOWED - _GROUP + 1
_SLICE: Final = 4096
_OVERLAP: Final = 512
"""Of an escaped run that is read in slices: more bytes than sixteen letters have in any spelling."""

_SEPARATORS: Final = b'":,{}[]'
_LETTERS: Final = bytes(byte for byte in range(0x21, 0x7F) if byte not in _SEPARATORS + b"%\\")
_IN_RUNS: Final = bytes(0x78 if byte in _LETTERS + b"%\\" else 0x20 for byte in range(256))
"""Translates letters, and what escapes begin with, to ``x`` and all else to a space."""

_ONE_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
"""Base64 has two alphabets; here they are one."""

_LETTER_RUN: Final = re.compile(b"[" + re.escape(_LETTERS) + b"]{%d,}" % RUN)
_ESCAPE: Final = re.compile(
    rb"%(?:25){0,2}([0-9A-Fa-f]{2})|\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([/']))|\\+"
)


class Wanted(NamedTuple):
    """One secret: what it is looked up by (sixteen letters of each form of it), and how far around a find it reaches.

    ``run`` is the length of the shortest of the runs that these letters begin. ``probes``, if any, are the forms that
    have no run of letters: they are searched for one by one.
    """

    keys: tuple[bytes, ...]
    run: int
    probes: tuple[bytes, ...]
    reach: int


def wanted(forms: tuple[bytes, ...], reach: int) -> Wanted:
    """How a secret with these forms, each known letter by letter, is looked for."""
    runs = [max(_LETTER_RUN.findall(form), key=len, default=b"") for form in forms]
    keys = dict.fromkeys(run[:RUN].translate(_ONE_ALPHABET) for run in runs if run)
    shortest = min((len(run) for run in runs if run), default=RUN)
    odd = tuple(form for form, run in zip(forms, runs, strict=True) if not run)
    return Wanted(tuple(keys), shortest, odd, reach)


class Sieve:
    """Any number of secrets by name."""

    def __init__(self) -> None:
        self._wanted: dict[str, Wanted] = {}
        self._odd: dict[str, Wanted] = {}
        self._groups: dict[bytes, dict[str, None]] = {}
        self._has_digits = False
        self._run = b""

    def add(self, name: str, secret: Wanted) -> None:
        """Look for this secret, too."""
        self._wanted[name] = secret
        self._run = b"x" * min(secret.run, len(self._run) or secret.run)
        self._has_digits = self._has_digits or any(key.isdigit() for key in secret.keys)
        if secret.probes:
            self._odd[name] = secret
        for group in _groups(secret):
            self._groups.setdefault(group, {})[name] = None

    def remove(self, name: str) -> None:
        """Look for it no longer."""
        self._odd.pop(name, None)
        for group in set(_groups(self._wanted.pop(name))):
            names = self._groups[group]
            names.pop(name, None)
            if not names:
                del self._groups[group]

    def windows(self, data: bytes) -> dict[str, list[tuple[int, int]]]:
        """For each secret that can stand in ``data``, the bytes within which it can; in order and apart."""
        if not self._wanted:
            return {}
        runs, long_enough = data.translate(_IN_RUNS), self._run
        at = runs.find(long_enough)
        if at < 0 and not self._odd:
            return {}
        found: dict[str, list[tuple[int, int]]] = {}
        while at >= 0:
            end = runs.find(b" ", at + RUN)
            end = len(data) if end < 0 else end
            run = data[at:end]
            if self._has_digits or not run.isdigit():  # most runs in market data are moments
                self._in_run(run, at, found)
            at = runs.find(long_enough, end)
        if self._odd:
            self._odd_ones(data, found)
        return found

    def _in_run(self, run: bytes, start: int, found: dict[str, list[tuple[int, int]]]) -> None:
        groups = self._groups
        if b"%" not in run and b"\\" not in run:
            run = run.translate(_ONE_ALPHABET)
            for at in range(0, len(run) - _GROUP + 1, _STEP):
                if (group := run[at : at + _GROUP]) in groups:
                    self._note(groups[group], start + at, start + at, found)
            return
        for begin in range(0, len(run), _SLICE):
            piece = _ESCAPE.sub(_read, run[begin : begin + _SLICE + _OVERLAP]).translate(_ONE_ALPHABET)
            first, last = start + begin, start + begin + _SLICE + _OVERLAP
            for at in range(0, len(piece) - _GROUP + 1, _STEP_ESCAPED):
                if (group := piece[at : at + _GROUP]) in groups:
                    self._note(groups[group], first, last, found)

    def _note(
        self, names: dict[str, None], start: int, end: int, found: dict[str, list[tuple[int, int]]]
    ) -> None:
        for name in names:
            reach = self._wanted[name].reach
            first, last = max(start - reach, 0), end + reach
            windows = found.setdefault(name, [])
            if windows and first <= windows[-1][1]:
                first, before = windows.pop()
                last = max(last, before)
            windows.append((first, last))

    def _odd_ones(self, data: bytes, found: dict[str, list[tuple[int, int]]]) -> None:
        has_escapes = b"%" in data or b"\\" in data
        for name, secret in self._odd.items():
            if has_escapes or any(probe in data for probe in secret.probes):
                found[name] = [(0, len(data))]


def _groups(secret: Wanted) -> Iterator[bytes]:
    for key in secret.keys:
        for at in range(_STEP):
            yield key[at : at + _GROUP]


def _read(escape: re.Match[bytes]) -> bytes:
    """The letter that an escape stands for; of what is none, nothing."""
    digits = escape[1] or escape[2] or escape[3]
    if digits is None:
        return escape[4] or b" "
    code = int(digits, 16)
    return bytes((code,)) if code < 256 else b" "
