"""One REST answer on its way to the cassette, as it comes.

A small answer is one row, with its body as it crossed the wire; under a coding, up to
16 MiB. A larger one goes to the cassette in parts while it comes, decoded, so that
redaction can look into it without holding everything else up, and memory stays flat:
the secrets of the request are learned first, and no cut is made inside a secret. The
row that completes it is written when the body has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Protocol

from tickdeck.cassette.bodies import PART_SIZE, PLAIN_LIMIT, WHOLE_LIMIT, coding_of
from tickdeck.cassette.records import Interaction
from tickdeck.cassette.redaction import REACH
from tickdeck.cassette.unpacking import DamagedError, Unpacker
from tickdeck.recorder.capture import Exchange

MOST_RATIO: Final = 256
"""Plain bytes for one that came, beyond which a large body is taken for a bomb; JSON gives some 30."""


class Secrets(Protocol):
    """What redaction is asked before a body is cut: a `tickdeck.cassette.redaction.Redactor`."""

    def learn(self, head: Interaction) -> None: ...

    def boundary(self, data: bytes, at: int) -> int: ...


class Shelf(Protocol):
    """Where it is kept: the `tickdeck.recorder.sink.Intake`."""

    def keep_whole(self, exchange: Exchange) -> None:
        """An answer that is one row."""
        ...

    def begin_parts(self) -> int:
        """The number of an answer that comes in parts."""
        ...

    def keep_part(self, interaction: int, data: bytes) -> None:
        """The next part."""
        ...

    def end_parts(self, exchange: Exchange, interaction: int, *, parts: int, decoded: bool) -> None:
        """The row that completes it."""
        ...


class Keeping:
    """Takes the pieces of a body in turn. ``trouble`` says what could not be done, or is empty."""

    def __init__(self, head: Exchange, secrets: Secrets, shelf: Shelf) -> None:
        self.trouble = ""
        self.ended = False
        self.size = 0
        """Bytes of the body that came so far, as they crossed the wire."""
        self._head = head
        self._secrets = secrets
        self._shelf = shelf
        self._held = bytearray()
        self._parts: _Parts | None = None

    def take(self, piece: bytes) -> None:
        """The next piece; StorageError when it cannot be kept."""
        self.size += len(piece)
        if self._parts is not None:
            self._parts.take(piece)
            return
        self._held += piece
        size = len(self._held)
        if size > WHOLE_LIMIT or (size > PLAIN_LIMIT and not self._codings()):
            self._in_parts()

    def end(self, end_ns: int, *, complete: bool) -> Exchange:
        """The body has ended, or has broken off: the exchange as it is kept, but for a body in parts."""
        self.ended = True
        if self._parts is None and self._opens_too_wide():
            self._in_parts()
        exchange = replace(self._head, end_ns=end_ns, complete=complete)
        if self._parts is None:
            exchange = replace(exchange, body=bytes(self._held))
            self._shelf.keep_whole(exchange)
            return exchange
        parts = self._parts
        parts.finish()
        if parts.damage:
            self.trouble = f"a large body {parts.damage}; its beginning is kept"
            exchange = replace(exchange, complete=False)
        self._shelf.end_parts(exchange, parts.interaction, parts=parts.count, decoded=parts.decoded)
        return exchange

    def _codings(self) -> tuple[str, ...]:
        return coding_of(self._head.response_headers, bytes(self._held[:8]))

    def _opens_too_wide(self) -> bool:
        """Whether it is small only because it is compressed."""
        codings = self._codings() if self._held else ()
        if not codings:
            return False
        plain = 0
        try:
            for opened in Unpacker(codings).feed(bytes(self._held)):
                plain += len(opened)
                if plain > max(WHOLE_LIMIT, MOST_RATIO * len(self._held)):
                    return False  # a bomb stays as it came
        except ValueError:
            return False
        return plain > WHOLE_LIMIT

    def _in_parts(self) -> None:
        whole = Interaction(
            seq=0,
            offset_ns=0,
            first_byte_ns=0,
            end_ns=0,
            interaction=0,
            method=self._head.method,
            url=self._head.url,
            status=self._head.status,
            request_headers=self._head.request_headers,
            request_body=self._head.request_body,
            response_headers=self._head.response_headers,
        )
        self._secrets.learn(whole)
        self._parts = _Parts(self._codings(), self._secrets, self._shelf)
        if self._parts.unknown:
            self.trouble = (
                f"a large body under {self._parts.unknown} is kept as it came: nobody can look into it"
            )
        held, self._held = bytes(self._held), bytearray()
        self._parts.take(held)


class _Parts:
    """A large body, decoded and cut. After ``damage`` nothing more can be opened."""

    def __init__(self, codings: tuple[str, ...], secrets: Secrets, shelf: Shelf) -> None:
        self.interaction = shelf.begin_parts()
        self.count = 0
        self.damage = ""
        self.unknown = ""
        try:
            self._unpacker = Unpacker(codings)
        except ValueError:
            self._unpacker, self.unknown = Unpacker(()), ", ".join(codings)
        self.decoded = bool(codings) and not self.unknown
        self._secrets = secrets
        self._shelf = shelf
        self._open = bytearray()
        self._came = 0
        self._plain = 0

    def take(self, piece: bytes) -> None:
        self._came += len(piece)
        if self.damage:
            return
        try:
            self._take_plain(self._unpacker.feed(piece))
        except DamagedError:
            if self._plain:
                self.damage = "could not be opened to its end"
            else:  # it is not what it says it is, and stays as it came
                self.decoded, self._unpacker = False, Unpacker(())
                self._take_plain((piece,))

    def _take_plain(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._plain += len(piece)
            if self._plain > max(WHOLE_LIMIT, MOST_RATIO * self._came):
                self.damage = "opens to more than anybody sends"
                return
            self._open += piece
            while len(self._open) >= PART_SIZE + REACH:
                self._cut(self._secrets.boundary(bytes(self._open), PART_SIZE))

    def finish(self) -> None:
        while self._open:
            whole = bytes(self._open)
            self._cut(self._secrets.boundary(whole, PART_SIZE) if len(whole) > PART_SIZE else len(whole))

    def _cut(self, at: int) -> None:
        self._shelf.keep_part(self.interaction, bytes(self._open[:at]))
        self.count += 1
        del self._open[:at]
