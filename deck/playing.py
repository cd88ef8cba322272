"""A run of `tickdeck play`: the server, perhaps a command beside it, signals, and what the run comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from tickdeck.around import Server, surroundings
from tickdeck.cassette.errors import ReplayError, TickdeckError
from tickdeck.cassette.readable import Readable
from tickdeck.child import INSISTED, beside
from tickdeck.collector import rare_full_collections
from tickdeck.exits import Exit, Outcome, command_ended, failed
from tickdeck.gateway.identity import VARIABLES
from tickdeck.gateway.variables import addresses
from tickdeck.jsonlines import JsonLines
from tickdeck.mockserver.loops import new_loop_of
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.server import Player
from tickdeck.output import Account
from tickdeck.play_words import PlayWords
from tickdeck.signals import Signals
from tickdeck.words import duration

Line = Mapping[str, object]
PATIENCE_NS: Final = 60 * 10**9
"""How long --once waits for a first client."""


class NobodyCameError(ReplayError):
    """No client came in the time that was given."""

    because = "no_client"


@dataclass(frozen=True, slots=True)
class Ends:
    """When a run is over. ``wait_ns`` of ``None`` is a minute with ``once``, else for ever."""

    once: bool = False
    wait_ns: int | None = None
    allow_unmatched: bool = False
    max_lateness_ns: int | None = None

    @property
    def patience_ns(self) -> int | None:
        """How long to wait for a first client."""
        return PATIENCE_NS if self.once and self.wait_ns is None else self.wait_ns


def play(
    cassette: Readable, options: PlayOptions, *, ends: Ends, command: tuple[str, ...], as_json: bool
) -> Outcome:
    """Play until a signal, the end (``ends``) or the end of ``command``; return what that comes to."""
    tell: Callable[[Line], None] = (
        JsonLines(Account("the tape plays on").show_json).tell
        if as_json
        else PlayWords(cassette, options).tell
    )
    loops = new_loop_of(options.effective_loop)
    with rare_full_collections(), asyncio.Runner(loop_factory=loops) as runner:
        return runner.run(_run(Player(cassette, options, tell=tell), tell, ends=ends, command=command))


async def _run(
    player: Player, tell: Callable[[Line], None], *, ends: Ends, command: tuple[str, ...]
) -> Outcome:
    asyncio.get_running_loop().set_exception_handler(player.log.of_loop)
    with Signals() as signals:
        try:
            await player.start()
        except BaseException:
            await player.stop()
            raise
        outcome = Outcome(Exit.CUT_SHORT, "interrupted")
        try:
            outcome = await (
                _beside(player, tell, command, signals) if command else _until_over(player, ends, signals)
            )
        except TickdeckError as error:
            outcome = failed(error)
        finally:
            await player.stop()
            report = player.report()
            outcome = _verdict(player, outcome, report, ends)
            tell({**report, "failed_because": outcome.because})
    return outcome


def _verdict(player: Player, outcome: Outcome, report: Line, ends: Ends) -> Outcome:
    """What ended the run, and where that is fine, what the run itself comes to."""
    if player.failure is not None:
        return failed(player.failure)
    if outcome.because is not None:
        return outcome
    lateness, misses = report["lateness"], report["misses"]
    late_ns = lateness["p99_ns"] if isinstance(lateness, dict) else 0
    if ends.max_lateness_ns is not None and late_ns > ends.max_lateness_ns:
        sentence = (
            f"the tape was late: p99 {duration(late_ns)}, allowed are {duration(ends.max_lateness_ns)}; "
            "this machine was too slow, or too busy, for this speed"
        )
        return Outcome(Exit.DIFFERENT, "lateness", sentence)
    if misses and not ends.allow_unmatched:
        return Outcome(Exit.UNMATCHED, "unmatched", _unmatched(report))
    return outcome


def _unmatched(report: Line) -> str:
    requests = report["requests"]
    missed = requests["missed"] if isinstance(requests, dict) else 0
    were = "request was" if missed == 1 else "requests were"
    return f"{missed:,} {were} not on the cassette; --allow-unmatched lets a run end well with such"


async def _until_over(player: Player, ends: Ends, signals: Signals) -> Outcome:
    """Until a signal, or the end that ``ends`` describes."""
    over: list[asyncio.Future[Any]] = [asyncio.ensure_future(signals.first())]
    if ends.once:
        over.append(asyncio.ensure_future(player.waits.done()))
    somebody = asyncio.ensure_future(_somebody(player, ends.patience_ns))
    try:
        await asyncio.wait([somebody, *over], return_when=asyncio.FIRST_COMPLETED)
        if somebody.done():
            somebody.result()
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        for task in over:
            if task.done():
                task.result()
    finally:
        for task in (somebody, *over):
            task.cancel()
    return Outcome()


async def _somebody(player: Player, patience_ns: int | None) -> None:
    try:
        await asyncio.wait_for(player.waits.client(), None if patience_ns is None else patience_ns / 1e9)
    except TimeoutError:
        raise NobodyCameError(f"no client came within {duration(patience_ns or 0)}") from None


async def _beside(
    player: Player, tell: Callable[[Line], None], command: tuple[str, ...], signals: Signals
) -> Outcome:
    async with (
        _surroundings(player, tell) as environment,
        beside(command, environment, signals) as child,
    ):
        await child.until()
        if not child.ended.done():
            tell({"kind": "lack", "message": INSISTED})
            await child.outlive()
        return command_ended(await child.ended)


def _surroundings(
    player: Player, tell: Callable[[Line], None]
) -> AbstractAsyncContextManager[dict[str, str]]:
    return surroundings(
        Server(player.by_name, player.host, player.port, environment(player), speaks_tls=player.speaks_tls),
        elsewhere=None,
        tell_host=lambda host, passed: tell({"kind": "other_host", "host": host, "passed": passed}),
        tell_lack=lambda message: tell({"kind": "lack", "message": message}),
    )


def environment(player: Player) -> dict[str, str]:
    """Where the command finds the server."""
    return {
        **addresses(http=player.http_url, ws=player.ws_url, feed=player.feed),
        **({} if player.ca_file is None else dict.fromkeys(VARIABLES, str(player.ca_file))),
    }
