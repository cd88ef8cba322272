"""Deadlines of the recorder's clock."""

from __future__ import annotations

import asyncio

import pytest

from tickdeck.recorder.clock import SECOND_NS, Clock


async def test_a_deadline_is_never_early() -> None:
    clock = Clock()
    due_ns = clock.now_ns() + SECOND_NS // 100
    await clock.wait_until(due_ns)
    assert clock.now_ns() >= due_ns


async def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    waiting = asyncio.ensure_future(Clock().wait_until(0))
    done, _ = await asyncio.wait([waiting], timeout=1)
    assert done == {waiting}


async def test_what_does_not_come_within_its_span_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        await Clock().within(1, asyncio.Event().wait())


async def test_what_comes_within_its_span_is_the_result() -> None:
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    done.set_result(7)
    assert await Clock().within(SECOND_NS, done) == 7


def test_the_wall_clock_counts_from_1970() -> None:
    assert Clock().wall_ns() > 1_600_000_000 * SECOND_NS
