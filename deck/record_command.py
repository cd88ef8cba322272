"""A command that is recorded: from its start, once the recorder listens, to its end, which seals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from tickdeck.around import Server, surroundings
from tickdeck.cassette.errors import UsageError
from tickdeck.child import INSISTED, beside
from tickdeck.exits import Exit, Outcome, command_ended
from tickdeck.gateway.variables import addresses
from tickdeck.record_words import VERDICTS
from tickdeck.recorder.notices import Lack, Listening, Notice, OtherHost, Report
from tickdeck.recorder.options import Options
from tickdeck.recorder.route import stream_for_others
from tickdeck.recorder.run import Recorder
from tickdeck.signals import Signals
from tickdeck.values import parse_address


def verdict_of(report: Report) -> Outcome:
    """What a recording comes to that did not fail."""
    if not report.verdict:
        return Outcome()
    return Outcome(Exit.DIFFERENT, report.failed_because, VERDICTS[report.verdict])


class CommandRun:
    """One such run; whatever else ends the recording ends the command, too."""

    def __init__(
        self, options: Options, tell: Callable[[Notice], None], command: Sequence[str], signals: Signals
    ) -> None:
        self._options = options
        self._tell = tell
        self._command = command
        self._signals = signals
        self._listening: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
        self._recorder = Recorder(options, notify=self._hear)
        asyncio.get_running_loop().set_exception_handler(self._recorder.log.of_loop)

    async def outcome(self) -> Outcome:
        """The command's, unless that is fine and the recording's is not."""
        self._signals.on("SIGUSR1", self._recorder.request_keep)
        running = asyncio.ensure_future(self._recorder.run())
        waiting: list[asyncio.Future[Any]] = [running, self._listening]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return verdict_of(running.result())
        code: int = Exit.FINE
        try:
            code = await self._beside(self._listening.result(), running)
            self._recorder.keeps_at_end = code != Exit.FINE
            self._recorder.failed_because = command_ended(code).because
        except UsageError as error:
            self._recorder.fail(error)
        finally:
            self._recorder.request_stop()
            await asyncio.wait([running])
        if code == Exit.FINE:
            return verdict_of(running.result())
        problem, ended = running.exception(), command_ended(code)
        return ended if problem is None else replace(ended, sentence=f"{ended.sentence}, and {problem}")

    def _hear(self, notice: Notice) -> None:
        self._tell(notice)
        if isinstance(notice, Listening) and not self._listening.done():
            self._listening.set_result(notice)

    async def _beside(self, listening: Listening, running: asyncio.Future[Report]) -> int:
        """The command's exit code; 0 where it was told to end, for the recording is over."""
        async with (
            self._surroundings(listening) as environment,
            beside(self._command, environment, self._signals) as child,
        ):
            await child.until(running)
            if not child.ended.done() and running.done():
                child.terminate()
                await child.outlive()
                return Exit.FINE
            if not child.ended.done():
                self._recorder.notify(Lack(INSISTED))
                self._recorder.request_stop()
                await asyncio.wait([running])
                await child.outlive()
            return await child.ended

    def _surroundings(self, listening: Listening) -> AbstractAsyncContextManager[dict[str, str]]:
        host, port = parse_address(listening.feed)
        variables = addresses(http=listening.http, ws=listening.ws, feed=listening.feed)
        straight = partial(stream_for_others, trust_env=self._options.trust_env)
        return surroundings(
            Server(self._recorder.by_name, host, port, variables),
            elsewhere=None if self._options.strict_hosts else straight,
            tell_host=lambda other, passed: self._recorder.notify(OtherHost(other, passed)),
            tell_lack=lambda message: self._recorder.notify(Lack(message)),
        )
