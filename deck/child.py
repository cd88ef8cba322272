"""A command of the user's beside ours: started, sent the signals that we get (each once), and waited for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from tickdeck.cassette.errors import UsageError
from tickdeck.signals import Signals, on_a_terminal
from tickdeck.witness import Witness

END_WITHIN_S: Final = 5.0
"""How long a command that is told to end may take, before it is killed."""

SETTLE_S: Final = 0.1
"""`timeout -s INT` signals us and then our group: what comes within this time is one signal."""

INSISTED: Final = (
    f"a second signal: this ends now, and the command is killed unless it ends within {END_WITHIN_S:g} s"
)


class Child:
    """A command that runs; ``ended`` is its exit code, ``insisted`` that whoever sends us signals repeats them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.ended = asyncio.ensure_future(_code(process))
        self.insisted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process = process
        self._signals = 0

    async def until(self, *others: asyncio.Future[Any]) -> None:
        """Wait until it has ended, somebody insists, or one of the others is done."""
        waiting: list[asyncio.Future[Any]] = [self.ended, self.insisted, *others]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    def terminate(self) -> None:
        """Tell it to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def outlive(self) -> None:
        """See that it ends, for it has been told to."""
        await asyncio.wait([self.ended], timeout=END_WITHIN_S)
        self.kill()
        await self.ended

    def kill(self) -> None:
        """Not to be left behind, whatever happens to us."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def hear(self, signals: Signals, witness: Witness) -> None:
        """Pass on what we get, unless the command got it as we did."""
        async for number in signals:
            await asyncio.wait([self.ended], timeout=SETTLE_S)
            of_group = await witness.group_signal()
            # What came before the next witness stood by has the sender of its like.
            came = [number, *signals.waiting()]
            if of_group in came:
                self._heed(of_group, group=True)
            for alone in (other for other in came if other != of_group):
                self._heed(alone, group=False)

    def _heed(self, number: int, *, group: bool) -> None:
        typed = group and number == signal.SIGINT and on_a_terminal()
        self._signals += not typed
        if self._signals > 1 and not self.insisted.done():
            self.insisted.set_result(None)
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            if not group or os.getpgid(self._process.pid) != os.getpgrp():
                self._process.send_signal(number)


@asynccontextmanager
async def beside(
    command: Sequence[str], environment: Mapping[str, str], signals: Signals
) -> AsyncIterator[Child]:
    """The command runs, and signals reach it; on the way out it is killed. `UsageError` if it cannot be started."""
    async with Witness() as witness:
        child = Child(await _start(command, environment))
        hearing = asyncio.ensure_future(child.hear(signals, witness))
        try:
            yield child
        finally:
            child.kill()
            hearing.cancel()
            await asyncio.wait([child.ended, hearing])


async def _start(command: Sequence[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(*command, env=environment)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot start {command[0]}: {reason}") from error


async def _code(process: asyncio.subprocess.Process) -> int:
    """The exit code, 128 + n where signal n ended it."""
    code = await process.wait()
    return 128 - code if code < 0 else code
