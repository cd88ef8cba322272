"""A run of `tickdeck record`: the recorder, signals, and what it says on the way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from tickdeck.cassette.errors import UsageError
from tickdeck.collector import rare_full_collections
from tickdeck.dialects.markets import DEFAULT_MARKET
from tickdeck.environment import api_key, known_secrets
from tickdeck.exits import Outcome
from tickdeck.jsonlines import JsonLines
from tickdeck.output import Account
from tickdeck.record_command import CommandRun, verdict_of
from tickdeck.record_words import RecordWords
from tickdeck.recorder.notices import Notice, Report
from tickdeck.recorder.rotation import Limits
from tickdeck.recorder.run import Options, Recorder
from tickdeck.signals import Signals
from tickdeck.values import next_time_of_day, parse_address
from tickdeck.watch.realtime import REAL
from tickdeck.words import zone_of

DEFAULT_LISTEN: Final = "127.0.0.1:8421"
FREE_PORT: Final = "127.0.0.1:0"

TURN_S: Final = 0.0005
"""How long one thread of a recording keeps the others from going on, where Python would say 5 ms."""


def record_options(flags: Mapping[str, Any], *, command: Sequence[str] = ()) -> Options:
    """The flags as values; `UsageError` for what does not fit together."""
    client = bool(flags["subscribe"] or flags["gets"])
    if client and flags["listen"]:
        raise UsageError("--listen makes a proxy, --subscribe and --get make a client; choose one")
    if flags["market"] and not flags["subscribe"]:
        raise UsageError("--market goes with --subscribe; a proxy records what the bot connects to")
    if flags["force"] and flags["append"]:
        raise UsageError("-f replaces what is there and --append goes on in it; choose one")
    if client and command:
        raise UsageError(
            "a command is recorded through a proxy, --subscribe and --get make a client; choose one"
        )
    if flags["strict_hosts"] and not command:
        raise UsageError("--strict-hosts is for the hosts that a command asks for; give one behind --")
    host, port = parse_address(flags["listen"] or (FREE_PORT if command else DEFAULT_LISTEN))
    market = flags["market"] or DEFAULT_MARKET
    options = Options(
        output=flags["output"],
        upstream_http=flags["upstream_http"],
        upstream_ws=flags["upstream_ws"],
        listen_host=host,
        listen_port=port,
        metrics=parse_address(flags["metrics"]) if flags["metrics"] else None,
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
        strict_hosts=flags["strict_hosts"],
        replace=flags["force"],
        append=flags["append"],
        sync_ns=flags["sync_ns"],
        only=tuple(name.strip() for given in flags["only"] for name in given.split(",")),
        limits=_limits(flags),
    )
    options.check()
    return options


def _limits(flags: Mapping[str, Any]) -> Limits:
    spans, sizes = ([getattr(each, part) for each in flags["rotations"]] for part in ("ns", "size"))
    if flags["ring_ns"] == 0:
        raise UsageError("--ring holds some time, and 0 is none; write 5m")
    return Limits(
        span_ns=min(filter(None, spans), default=None),
        size=min(filter(None, sizes), default=None),
        ring_ns=flags["ring_ns"],
    )


def _until(text: str | None, market: str) -> int | None:
    return None if text is None else next_time_of_day(text, zone_of(market), now_ns=REAL.wall_ns())


def record(options: Options, *, command: Sequence[str] = (), as_json: bool) -> Outcome:
    """Record until a signal, the time that was asked for, the end of the command, or an error."""
    take_turns()
    with ExitStack() as stack:
        stack.enter_context(rare_full_collections())
        tell: Callable[[Notice], None]
        if as_json:
            tell = partial(_tell_line, JsonLines(Account("the recording goes on").show_json))
        else:
            tell = stack.enter_context(RecordWords(options)).tell
        return asyncio.run(_run(options, tell, command))


def take_turns() -> None:
    """Frames are passed on while the thread beside them packs a chunk; else some would wait for milliseconds."""
    sys.setswitchinterval(TURN_S)


def _tell_line(lines: JsonLines, notice: Notice) -> None:
    lines.tell({"kind": notice.kind, **notice.values()})


async def _run(options: Options, tell: Callable[[Notice], None], command: Sequence[str]) -> Outcome:
    with Signals() as signals:
        if command:
            return await CommandRun(options, tell, command, signals).outcome()
        recorder = Recorder(options, notify=tell)
        asyncio.get_running_loop().set_exception_handler(recorder.log.of_loop)
        signals.on("SIGUSR1", recorder.request_keep)
        signals.at_once(recorder.request_stop)
        running = asyncio.ensure_future(recorder.run())
        stopping = asyncio.ensure_future(_stop(recorder, running, signals))
        try:
            return verdict_of(await running)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            stopping.cancel()


async def _stop(recorder: Recorder, running: asyncio.Future[Report], signals: Signals) -> None:
    """The first signal seals, the second insists: what is still open is cut off, and then sealed."""
    await signals.first()
    recorder.request_stop()
    await signals.first()
    running.cancel()
