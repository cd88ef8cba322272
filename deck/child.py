"""A command of the user's beside ours: started, sent the signals that we get, and waited for."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from tickdeck.cassette.errors import UsageError
from tickdeck.signals import Signals, reached_by_terminal

END_WITHIN_S: Final = 5.0
"""How long a command that is told to end may take, before it is killed."""


class Child:
    """A command that runs; entered, it is ended on the way out if it still does."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """`UsageError` for a command that cannot be started."""
        try:
            process = await asyncio.create_subprocess_exec(*command, env=environment)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot start {command[0]}: {reason}") from error
        return cls(process)

    async def code(self, signals: Signals) -> int:
        """Its exit code, once it has ended (128 + n where signal n ended it); signals go on to it until then."""
        passing = asyncio.ensure_future(self._pass_on(signals))
        try:
            code = await self._process.wait()
        finally:
            passing.cancel()
        return 128 - code if code < 0 else code

    async def end(self) -> None:
        """Tell it to end, and see that it does."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), END_WITHIN_S)
        self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """Not to be left behind, whatever happens to us."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _pass_on(self, signals: Signals) -> None:
        async for number in signals:
            if number == signal.SIGINT and reached_by_terminal():
                continue
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
