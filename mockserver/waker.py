"""Waking at a moment, to within a fraction of a millisecond.

An event loop's own timer waits in whole milliseconds, rounded up. Alarms here lie in a
heap before one device: a timer of the kernel's that is a file (`os.timerfd_create`,
Python 3.13 on Linux), else a thread that waits for the next moment. Either rings no
earlier than it was told to. One ring calls everything that is due.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from tickdeck.watch.realtime import REAL

_timer: Final[Any] = os  # timerfd is newer than the oldest Python that types are checked for


class Alarm:
    """One call to come."""

    __slots__ = ("_callback", "when_ns")

    def __init__(self, when_ns: int, callback: Callable[[], object]) -> None:
        self.when_ns = when_ns
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """It is not to come any more."""
        self._callback = None

    def ring(self) -> None:
        """Make the call, once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Device(Protocol):
    """What rings."""

    def arm(self, when_ns: int) -> None:
        """Ring once the monotonic clock has reached ``when_ns``, instead of when it was last told to."""
        ...

    def close(self) -> None:
        """Never ring again."""
        ...


MakeDevice: TypeAlias = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Device]
"""Makes a device that rings in an event loop."""


class Waker:
    """Alarms on the running event loop."""

    def __init__(self, make_device: MakeDevice | None = None) -> None:
        """On the device that suits the machine, or the one that ``make_device`` makes."""
        loop = asyncio.get_running_loop()
        self._alarms: list[tuple[int, int, Alarm]] = []
        self._count = 0
        self._armed_ns: int | None = None
        self._ringing = False
        self._closed = False
        self._device = (best_device() if make_device is None else make_device)(loop, self._ring)

    def call_at(self, when_ns: int, callback: Callable[[], object]) -> Alarm:
        """Call back once the monotonic clock has reached ``when_ns``; never, once it is closed."""
        alarm = Alarm(when_ns, callback)
        if self._closed:
            return alarm
        self._count += 1
        heapq.heappush(self._alarms, (when_ns, self._count, alarm))
        if not self._ringing and (self._armed_ns is None or when_ns < self._armed_ns):
            self._arm(when_ns)
        return alarm

    def close(self) -> None:
        """Forget every alarm, and let go of the device."""
        self._alarms.clear()
        if not self._closed:
            self._closed = True
            self._device.close()

    def _arm(self, when_ns: int) -> None:
        self._armed_ns = when_ns
        self._device.arm(when_ns)

    def _ring(self) -> None:
        self._armed_ns = None
        self._ringing = True  # what is asked for meanwhile is armed once, at the end
        now_ns = REAL.monotonic_ns()
        try:
            while self._alarms and self._alarms[0][0] <= now_ns:
                heapq.heappop(self._alarms)[2].ring()
        finally:
            self._ringing = False
            if self._alarms:
                self._arm(self._alarms[0][0])


class TimerFile:
    """A timer of the kernel's, as a file that can be read when it has rung."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._file = _timer.timerfd_create(
            time.CLOCK_MONOTONIC, flags=_timer.TFD_NONBLOCK | _timer.TFD_CLOEXEC
        )
        loop.add_reader(self._file, self._rung)

    def arm(self, when_ns: int) -> None:
        """See `Device`."""
        _timer.timerfd_settime_ns(self._file, flags=_timer.TFD_TIMER_ABSTIME, initial=max(when_ns, 1))

    def close(self) -> None:
        """See `Device`."""
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _rung(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # it was armed anew in between
            return
        self._ring()


def best_device() -> MakeDevice:
    """The kernel's timer where Python has it (3.13 on Linux), else the thread."""
    return TimerFile if hasattr(_timer, "timerfd_create") else WakerThread


class WakerThread:
    """A thread that waits for the next moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._when_ns: int | None = None
        self._closed = False
        self._told = threading.Condition()
        self._thread = threading.Thread(target=self._wait, name="tickdeck waker", daemon=True)
        self._thread.start()

    def arm(self, when_ns: int) -> None:
        """See `Device`."""
        with self._told:
            self._when_ns = when_ns
            self._told.notify()

    def close(self) -> None:
        """See `Device`."""
        with self._told:
            self._closed = True
            self._told.notify()
        self._thread.join()

    def _wait(self) -> None:
        with self._told:
            while not self._closed:
                if self._when_ns is None:
                    self._told.wait()
                elif (ahead_ns := self._when_ns - REAL.monotonic_ns()) > 0:
                    self._told.wait(ahead_ns / 1e9)
                else:
                    self._when_ns = None
                    self._loop.call_soon_threadsafe(self._ring)
