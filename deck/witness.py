"""Whether a signal came to us alone or to every process of our group, and so to the command as well.

The kernel does not say to whom else a signal went: Ctrl-C on a terminal and `kill -INT -GROUP` reach the
command, `kill -INT PID` does not. So a process stands by in our group that does nothing and heeds no signal.
Once we have got one, the witness is killed: the kernel notes the first signal that is fatal to a process, and
sends those to a group to the youngest process first, so what the witness died of tells them apart for certain.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Final, Self

_COMMAND: Final = ("cat",)
"""It reads what is never written, and so ends when we are gone."""


class Witness:
    """Such a process, while entered. Where the system has none, every signal is taken for ours alone."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self._stand_by()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def group_signal(self) -> int | None:
        """The signal that the whole group was sent since the last look; another witness stands by then."""
        code = await self._end()
        await self._stand_by()
        return None if code is None else -code

    async def _stand_by(self) -> None:
        with contextlib.suppress(OSError):
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )

    async def _end(self) -> int | None:
        """What it ended with: -9, unless something else was before us."""
        process, self._process = self._process, None
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()
