"""A run of `tickdeck record`: the recorder, signals, and what it says on the way."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tickdeck.cassette.errors import UsageError
from tickdeck.child import Child
from tickdeck.child_environment import addresses
from tickdeck.dialects.markets import DEFAULT_MARKET
from tickdeck.environment import api_key, known_secrets
from tickdeck.exits import Exit
from tickdeck.jsonlines import JsonLines
from tickdeck.record_words import RecordWords
from tickdeck.recorder.notices import Listening, Notice, Report
from tickdeck.recorder.run import Options, Recorder
from tickdeck.signals import Signals
from tickdeck.values import next_time_of_day, parse_address
from tickdeck.words import zone_of

DEFAULT_LISTEN: Final = "127.0.0.1:8421"
FREE_PORT: Final = "127.0.0.1:0"


def record_options(flags: Mapping[str, Any], *, command: Sequence[str] = ()) -> Options:
    """The flags as values; `UsageError` for what does not fit together."""
    client = bool(flags["subscribe"] or flags["gets"])
    if client and flags["listen"]:
        raise UsageError("--listen makes a proxy, --subscribe and --get make a client; choose one")
    if flags["market"] and not flags["subscribe"]:
        raise UsageError("--market goes with --subscribe; a proxy records what the bot connects to")
    if client and command:
        raise UsageError(
            "a command is recorded through a proxy, --subscribe and --get make a client; choose one"
        )
    host, port = parse_address(flags["listen"] or (FREE_PORT if command else DEFAULT_LISTEN))
    market = flags["market"] or DEFAULT_MARKET
    options = Options(
        output=flags["output"],
        upstream_http=flags["upstream_http"],
        upstream_ws=flags["upstream_ws"],
        listen_host=host,
        listen_port=port,
        market=market,
        feed=flags["feed"],
        subscribe=tuple(name.strip() for given in flags["subscribe"] for name in given.split(",")),
        gets=flags["gets"],
        key=api_key() if client else None,
        secrets=known_secrets(flags["secret_names"]),
        for_ns=flags["for_ns"],
        until_wall_ns=_until(flags["until"], market),
        note=flags["note"],
        program="tickdeck record",
        trust_env=flags["trust_env"],
        for_command=bool(command),
    )
    options.check()
    return options


def _until(text: str | None, market: str) -> int | None:
    return None if text is None else next_time_of_day(text, zone_of(market), now_ns=time.time_ns())


def record(options: Options, *, command: Sequence[str] = (), as_json: bool) -> int:
    """Record until a signal, the time that was asked for, the end of the command, or an error; the exit code."""
    if as_json:
        return asyncio.run(_run(options, partial(_tell_line, JsonLines(sys.stdout)), command))
    with RecordWords(options) as words:
        return asyncio.run(_run(options, words.tell, command))


def _tell_line(lines: JsonLines, notice: Notice) -> None:
    lines.tell({"kind": notice.kind, **notice.values()})


async def _run(options: Options, tell: Callable[[Notice], None], command: Sequence[str]) -> int:
    with Signals() as signals:
        if command:
            return await _around(options, tell, command, signals)
        recorder = Recorder(options, notify=tell)
        running = asyncio.ensure_future(recorder.run())
        stopping = asyncio.ensure_future(_stop(recorder, running, signals))
        try:
            return _verdict(await running)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            stopping.cancel()


def _verdict(report: Report) -> int:
    return Exit.DIFFERENT if report.verdict else Exit.FINE


async def _around(
    options: Options, tell: Callable[[Notice], None], command: Sequence[str], signals: Signals
) -> int:
    """Record a command from its start to its end, which seals; whatever else ends the recording ends it, too."""
    listening: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()

    def hear(notice: Notice) -> None:
        tell(notice)
        if isinstance(notice, Listening) and not listening.done():
            listening.set_result(notice)

    recorder = Recorder(options, notify=hear)
    running = asyncio.ensure_future(recorder.run())
    waiting: list[asyncio.Future[Any]] = [running, listening]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        return _verdict(running.result())
    code: int = Exit.FINE
    try:
        code = await _beside(command, listening.result(), running, signals)
    except UsageError as error:
        recorder.fail(error)
    finally:
        recorder.request_stop()
        await asyncio.wait([running])
    return _verdict(running.result()) if code == Exit.FINE else code


async def _beside(
    command: Sequence[str], listening: Listening, running: asyncio.Future[Report], signals: Signals
) -> int:
    """The command's exit code; 0 where it was told to end, for the recording is over."""
    found = addresses(http=listening.http, ws=listening.ws, feed=listening.feed)
    child = await Child.start(command, {**os.environ, **found})
    ended = asyncio.ensure_future(child.code(signals))
    waiting: list[asyncio.Future[Any]] = [ended, running]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return ended.result()
        await child.end()
        return Exit.FINE
    finally:
        ended.cancel()
        child.kill()


async def _stop(recorder: Recorder, running: asyncio.Future[Report], signals: Signals) -> None:
    """The first signal seals, the second insists: what is still open is cut off, and then sealed."""
    await signals.first()
    recorder.request_stop()
    await signals.first()
    running.cancel()
