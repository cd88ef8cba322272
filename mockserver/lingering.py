"""Sockets that stay open for a while after their connections have ended.

A system resets a connection that is closed while input lies in it unread, or that is
sent anything once it is closed; whatever the client has not read by then may be lost.
So a connection that ended here is only shut down: its last words and the end go out,
and what the client still says is read and thrown away until it closes its side, or
until its system has taken everything and nothing more is heard of it. All of that is
bounded in time.

A socket is shut down before it is closed in any case: another process may have been
forked from this one and hold the same socket, and then closing it would tell nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Final

from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.options import MILLISECOND, SECOND

if sys.platform == "linux":
    import fcntl
    import termios

LOOK_NS: Final = 50 * MILLISECOND
"""How often the sockets are looked at."""

SILENT_NS: Final = 2 * SECOND
"""How long a client whose system has taken everything may be silent before its socket is closed."""

TALKER_SILENT_NS: Final = 30 * SECOND
"""The same for one that may have more to say: it would be reset then, and lose what it has not read."""

STALLED_NS: Final = 30 * SECOND
"""How long a client may read nothing while there is something left to read."""

LONGEST_NS: Final = 300 * SECOND
"""How long a socket stays open at most."""

STOP_SILENT_NS: Final = 1 * SECOND
STOP_LONGEST_NS: Final = 10 * SECOND
"""The same for the server's stop, which waits for its last words to arrive."""

STOP_HEARING_NS: Final = 2 * LOOK_NS
"""How long a socket that ended during the stop is listened to at least: its client may be one that talks."""

_SCRATCH: Final = 65536


@dataclass(slots=True)
class Delivery:
    """What became of the last words: ``untaken`` bytes did not reach the client's system; ``None`` is not known."""

    untaken: int | None = None


def untaken(descriptor: int) -> int | None:
    """Bytes (and the end) that were sent and not yet taken by the other system; ``None`` where that is not known."""
    if sys.platform != "linux" or descriptor < 0:
        return None
    try:
        answer: bytes = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return None
    return int(struct.unpack("i", answer)[0])


def untaken_of(transport: asyncio.BaseTransport) -> int | None:
    """The same of a connection."""
    sock = transport.get_extra_info("socket")
    return None if sock is None else untaken(sock.fileno())


def shut_down(transport: asyncio.BaseTransport | None) -> None:
    """Tell the other side that it is over, whoever else holds this socket."""
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None or (descriptor := sock.fileno()) < 0:
        return
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as held:
        held.shutdown(socket.SHUT_RDWR)


class _Socket:
    """One of them."""

    def __init__(self, held: socket.socket, now_ns: int, *, talks: bool, delivery: Delivery) -> None:
        self.held = held
        self.talks = talks
        self.begun_ns = self.moved_ns = now_ns
        self.heard_ns: int | None = None
        self.has_closed = False
        self._delivery = delivery
        delivery.untaken = self._still_untaken()

    @property
    def untaken(self) -> int | None:
        """Bytes that are still on their way."""
        return self._delivery.untaken

    def hear(self, now_ns: int) -> bool:
        """Throw away what has come; whether the connection is still there."""
        try:
            heard = self.held.recv(_SCRATCH)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            self._delivery.untaken = None  # it was reset: nobody knows any more
            return False
        self.has_closed = not heard
        self.heard_ns = now_ns
        return True

    def look(self, now_ns: int) -> None:
        """See whether the client's system has taken more."""
        if self.untaken and (left := self._still_untaken()) != self.untaken:
            self._delivery.untaken, self.moved_ns = left, now_ns

    def _still_untaken(self) -> int | None:
        """Bytes alone: the end counts as one, and may be acknowledged a little later."""
        count = untaken(self.held.fileno())
        return None if count is None else max(count - 1, 0)

    def is_over(self, now_ns: int, *, stopping_ns: int | None) -> bool:
        """Whether nothing is to be waited for; ``stopping_ns`` is when the server began to stop, if it does."""
        if not self.untaken and self.has_closed:
            return True
        if stopping_ns is not None:
            return now_ns >= min(self._stop_deadline_ns(stopping_ns), stopping_ns + STOP_LONGEST_NS)
        silent = TALKER_SILENT_NS if self.talks else SILENT_NS
        patience_ns = STALLED_NS if self.untaken else silent
        moved_ns = max(self.moved_ns, self.heard_ns or 0)
        return now_ns >= min(moved_ns + patience_ns, self.begun_ns + LONGEST_NS)

    def _stop_deadline_ns(self, stopping_ns: int) -> int:
        if self.untaken:
            return self.moved_ns + STOP_SILENT_NS
        if self.heard_ns is not None:
            return self.heard_ns + STOP_SILENT_NS
        if self.talks:
            return max(stopping_ns + STOP_SILENT_NS, self.begun_ns + STOP_HEARING_NS)
        return stopping_ns

    def end(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self.held.shutdown(socket.SHUT_RDWR)
        self.held.close()


class Lingering:
    """All of them of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, _Socket] = {}
        self._looking = False
        self._stopping_ns: int | None = None
        self._fewer = asyncio.Event()

    def __len__(self) -> int:
        return len(self._sockets)

    def keep(self, transport: asyncio.BaseTransport, *, talks: bool, delivery: Delivery) -> None:
        """The connection has ended: see to it that its last words arrive; the ``delivery`` says what became of them.

        ``talks``: its client may have more to say for a long time.
        """
        sock = transport.get_extra_info("socket")
        if sock is None or (descriptor := sock.fileno()) < 0:
            return
        try:
            held = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # no more files: it is closed as it always was
            return
        held.setblocking(False)
        with contextlib.suppress(OSError):  # it is lost, and will be read as such
            held.shutdown(socket.SHUT_WR)
        self._linger(_Socket(held, self._clock.now_ns(), talks=talks, delivery=delivery))

    def stopping(self) -> None:
        """The server begins to stop: from now on it waits no longer than it must."""
        self._stopping_ns = self._clock.now_ns()

    async def over(self) -> None:
        """Until nothing is to be waited for any more."""
        self._look_at_all()
        while self._sockets:
            self._fewer.clear()
            await self._fewer.wait()

    def _linger(self, kept: _Socket) -> None:
        now_ns = self._clock.now_ns()
        if not kept.hear(now_ns) or kept.is_over(now_ns, stopping_ns=self._stopping_ns):
            kept.end()
            return
        kept.heard_ns = None  # what lay there unread may be of long ago
        descriptor = kept.held.fileno()
        try:
            self._loop.add_reader(descriptor, self._heard, descriptor)
        except NotImplementedError:  # not every event loop can
            kept.end()
            return
        self._sockets[descriptor] = kept
        self._look_later()

    def _heard(self, descriptor: int) -> None:
        kept = self._sockets[descriptor]
        if not kept.hear(self._clock.now_ns()):
            self._end(descriptor)
        elif kept.has_closed:
            self._loop.remove_reader(descriptor)
            self._look_at(descriptor)

    def _look_later(self) -> None:
        if not self._looking:
            self._looking = True
            self._clock.call_at(self._clock.now_ns() + LOOK_NS, self._look)

    def _look(self) -> None:
        self._looking = False
        self._look_at_all()
        if self._sockets:
            self._look_later()

    def _look_at_all(self) -> None:
        for descriptor in list(self._sockets):
            self._look_at(descriptor)

    def _look_at(self, descriptor: int) -> None:
        kept, now_ns = self._sockets[descriptor], self._clock.now_ns()
        kept.look(now_ns)
        if kept.is_over(now_ns, stopping_ns=self._stopping_ns):
            self._end(descriptor)

    def _end(self, descriptor: int) -> None:
        kept = self._sockets.pop(descriptor)
        self._loop.remove_reader(descriptor)
        kept.end()
        self._fewer.set()
