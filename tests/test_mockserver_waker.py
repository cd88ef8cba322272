"""Alarms on a real loop, before either device; nothing here says how long something may take."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tickdeck.mockserver.waker import Alarm, Device, MakeDevice, TimerFile, Waker, WakerThread, best_device

MILLISECOND = 1_000_000
NEEDS_TIMERFD = pytest.mark.skipif(
    not hasattr(os, "timerfd_create"), reason="timerfd is newer than this Python"
)
DEVICES = [
    pytest.param(TimerFile, id="timerfd", marks=NEEDS_TIMERFD),
    pytest.param(WakerThread, id="thread"),
]


@dataclass
class Counted:
    """A device that counts what it is asked for and how often it rings."""

    make: MakeDevice
    armed: list[int] = field(default_factory=list)
    rings: int = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Counted:
        def counted() -> None:
            self.rings += 1
            ring()

        self.device: Device = self.make(loop, counted)
        return self

    def arm(self, when_ns: int) -> None:
        self.armed.append(when_ns)
        self.device.arm(when_ns)

    def close(self) -> None:
        self.device.close()


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Counted:
    return Counted(request.param)


@contextmanager
def awake(device: MakeDevice) -> Iterator[Waker]:
    waker = Waker(device)
    try:
        yield waker
    finally:
        waker.close()


async def rung(waker: Waker, when_ns: int) -> None:
    """Until an alarm of this moment has rung."""
    over = asyncio.Event()
    waker.call_at(when_ns, over.set)
    await asyncio.wait_for(over.wait(), 20)


def test_the_kernels_timer_is_taken_where_python_has_it() -> None:
    assert best_device() is (TimerFile if hasattr(os, "timerfd_create") else WakerThread)


async def test_nothing_rings_before_its_time(device: Counted) -> None:
    now = time.monotonic_ns()
    wanted = [now + each * MILLISECOND // 3 for each in (1, 2, 2, 7, 20)]
    seen: list[tuple[int, int]] = []
    with awake(device) as waker:
        for when_ns in wanted:
            waker.call_at(when_ns, lambda when_ns=when_ns: seen.append((when_ns, time.monotonic_ns())))
        await rung(waker, wanted[-1])
    assert [when for when, _ in seen] == wanted
    assert all(when <= at for when, at in seen)


async def test_alarms_ring_in_order_of_time_and_those_of_one_moment_in_the_order_of_asking(
    device: Counted,
) -> None:
    now = time.monotonic_ns() + MILLISECOND
    seen: list[str] = []
    with awake(device) as waker:
        for name, after in [("late", 3), ("first", 1), ("second", 1), ("middle", 2)]:
            waker.call_at(now + after * MILLISECOND, lambda name=name: seen.append(name))
        await rung(waker, now + 3 * MILLISECOND)
    assert seen == ["first", "second", "middle", "late"]


async def test_a_moment_that_has_passed_rings_at_once_but_never_within_the_call(device: Counted) -> None:
    seen: list[str] = []
    with awake(device) as waker:
        waker.call_at(-5, lambda: seen.append("past"))
        waker.call_at(0, lambda: seen.append("zero"))
        assert seen == []
        await rung(waker, time.monotonic_ns())
    assert seen == ["past", "zero"]


async def test_what_is_cancelled_does_not_ring_and_an_alarm_rings_once(device: Counted) -> None:
    now = time.monotonic_ns()
    seen: list[str] = []
    with awake(device) as waker:
        kept = waker.call_at(now + MILLISECOND, lambda: seen.append("kept"))
        waker.call_at(now + MILLISECOND, lambda: seen.append("cancelled")).cancel()
        await rung(waker, now + 2 * MILLISECOND)
        kept.ring()
        kept.cancel()
    assert seen == ["kept"]


async def test_an_earlier_alarm_overtakes_the_one_that_is_armed(device: Counted) -> None:
    now = time.monotonic_ns()
    far, near = now + 3600 * 10**9, now + MILLISECOND
    with awake(device) as waker:
        waker.call_at(far, lambda: pytest.fail("an hour has not passed"))
        await rung(waker, near)
        assert device.armed == [far, near, far]


async def test_a_later_alarm_does_not_touch_the_device(device: Counted) -> None:
    now = time.monotonic_ns()
    with awake(device) as waker:
        waker.call_at(now + 3600 * 10**9, lambda: None)
        waker.call_at(now + 3601 * 10**9, lambda: None)
        assert device.armed == [now + 3600 * 10**9]


async def test_all_that_is_due_rings_at_one_wake_up(device: Counted) -> None:
    now = time.monotonic_ns()
    seen: list[int] = []
    with awake(device) as waker:
        for number in range(1000):
            waker.call_at(now, lambda number=number: seen.append(number))
        await rung(waker, now)
        assert len(seen) == 1000
        assert device.rings == 1


async def test_nobody_is_woken_for_nothing(device: Counted) -> None:
    with awake(device) as waker:
        for _ in range(20):
            await rung(waker, time.monotonic_ns() + MILLISECOND // 2)
        assert device.rings == 20


async def test_an_alarm_that_is_asked_for_while_another_rings_comes_too(device: Counted) -> None:
    over = asyncio.Event()
    with awake(device) as waker:

        def again(left: int) -> None:
            if left:
                waker.call_at(time.monotonic_ns() + MILLISECOND // 10, lambda: again(left - 1))
            else:
                over.set()

        again(5)
        await asyncio.wait_for(over.wait(), 20)
    assert device.rings >= 5


async def test_a_callback_that_raises_does_not_keep_the_others_from_ringing(device: Counted) -> None:
    trouble: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: trouble.append(str(context["exception"]))
    )

    def fails() -> None:
        raise ValueError("of the callback")

    now = time.monotonic_ns()
    with awake(device) as waker:
        waker.call_at(now, fails)
        await rung(waker, now + MILLISECOND)
    assert trouble == ["of the callback"]


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def test_a_waker_that_is_closed_leaves_no_thread_and_no_descriptor_behind(device: Counted) -> None:
    threads, files = threading.active_count(), descriptors()
    for _ in range(5):
        with awake(device) as waker:
            waker.call_at(time.monotonic_ns() + 3600 * 10**9, lambda: None)
    assert (threading.active_count(), descriptors()) == (threads, files)


async def test_nothing_rings_behind_the_close(device: Counted) -> None:
    seen: list[str] = []
    with awake(device) as waker:
        waker.call_at(time.monotonic_ns(), lambda: seen.append("rung"))
    with awake(WakerThread) as another:
        await rung(another, time.monotonic_ns() + 2 * MILLISECOND)
    assert seen == []


async def test_what_is_asked_for_behind_the_close_never_comes_and_touches_nothing(device: Counted) -> None:
    seen: list[str] = []
    with awake(device) as waker:
        pass
    alarm = waker.call_at(time.monotonic_ns(), lambda: seen.append("rung"))
    waker.close()
    assert isinstance(alarm, Alarm)
    assert device.armed == []
    assert seen == []
