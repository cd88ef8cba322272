"""What `tickdeck record` says to a person, and, on a terminal, a line that shows how far it has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TextIO, cast

from rich.console import Console
from rich.status import Status

from tickdeck.output import Quiet
from tickdeck.recorder.meters import Flow
from tickdeck.recorder.notices import Listening, Notice, Progress, cleaned
from tickdeck.recorder.options import Options
from tickdeck.recorder.verdicts import NO_EVENTS, NO_REQUEST, NOTHING
from tickdeck.watch.printable import one_line
from tickdeck.words import SECOND, count, duration, market_time, size

MOST_CHANNELS: Final = 6


class RecordWords:
    """Says each notice on stderr."""

    def __init__(self, options: Options) -> None:
        self._options = options
        # A terminal that goes away takes the live line with it, not the recording.
        stream = cast(TextIO, Quiet(sys.stderr))
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if self._options.until_wall_ns is not None:
            end = market_time(self._options.until_wall_ns, self._options.market)
            self._console.print(f"recording until {end}", markup=False)
        if self._console.is_terminal:
            self._status = self._console.status("recording; Ctrl-C seals", spinner="dots")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def tell(self, notice: Notice) -> None:
        """One notice in words; progress goes into the line that stays."""
        if isinstance(notice, Progress):
            if self._status is not None:
                self._status.update(_progress(notice))
            return
        notice = cleaned(notice, one_line)
        say = _SAY.get(notice.kind)
        if isinstance(notice, Listening) and self._options.for_command:
            say = _listening_for_command
        if say is not None:
            self._console.print(say(notice), markup=False, emoji=False)


def _progress(notice: Progress) -> str:
    flow = notice.flow
    parts = [
        count(notice.frames, "frame"),
        f"{size(notice.bytes)}{_compressed(flow)}",
        count(notice.interactions, "REST answer"),
        f"{count(notice.tracks_open, 'socket')} open",
        f"delay {_delay(flow)}" if flow.delay_p99_ns else "",
        f"{count(flow.journal_chunks, 'chunk')} behind" if flow.journal_chunks else "",
        _pauses(notice.pauses, flow),
    ]
    return ", ".join(filter(None, parts)) + "; Ctrl-C seals"


def _compressed(flow: Flow) -> str:
    return f" (1/{flow.compression:.1f} on disk)" if flow.compression else ""


def _delay(flow: Flow) -> str:
    return f"p50 {flow.delay_p50_ns / 1e6:.2g} ms, p99 {flow.delay_p99_ns / 1e6:.2g} ms"


def _pauses(pauses: int, flow: Flow) -> str:
    return f"{count(pauses, 'pause')} of {flow.paused_seconds:.1f} s for the disk" if pauses else ""


def _listening_for_command(notice: Any) -> str:
    return f"recording the command: REST at {notice.http}, sockets at {notice.ws}; its end seals the cassette"


def _listening(notice: Any) -> str:
    return "\n".join(
        (
            "recording as a proxy; point your bot here:",
            f"  REST    {notice.http}",
            f"  socket  {notice.ws}/stocks",
            f'  official client  WebSocketClient(feed="{notice.feed}", secure=False, ...)',
            f'                   RESTClient(base="{notice.http}", ...)',
            "Ctrl-C seals the cassette",
        )
    )


def _ended(notice: Any) -> str:
    how = "lost without a close frame" if notice.code is None else f"closed with code {notice.code}"
    return f"socket {notice.track} ({notice.market}) {how}" + (f": {notice.reason}" if notice.reason else "")


def _report(notice: Any) -> str:
    if not notice.frames and not notice.interactions:
        left_out = f", {count(notice.left_out, 'frame')} left out" if notice.left_out else ""
        return "\n".join((f"{notice.path}: nothing was recorded{left_out}", *notice.warnings))
    if "*" in notice.path and not notice.segments:
        return f"{notice.path}: all went well, and nothing of the ring is kept"
    redacted = sum(times for places in notice.redactions.values() for times in places.values())
    parts = [
        f"{notice.path}: {'sealed' if notice.sealed else 'not sealed (tickdeck recover seals it)'}",
        count(len(notice.segments), "segment") if notice.segments else "",
        count(notice.frames, "frame"),
        f"{count(notice.left_out, 'frame')} left out" if notice.left_out else "",
        count(notice.interactions, "REST answer"),
        count(notice.tracks, "socket"),
        f"{size(notice.bytes)} of payload{_compressed(notice.flow)}",
        f"passed on within {_delay(notice.flow)}" if notice.flow.delay_p99_ns else "",
        count(notice.gaps, "gap") if notice.gaps else "",
        _pauses(notice.pauses, notice.flow),
        f"{count(redacted, 'redaction')} of {count(len(notice.redactions), 'secret')}" if redacted else "",
        f"refused: {_some(notice.refused)}" if notice.refused else "",
        f"never acknowledged: {_some(notice.unacknowledged)}" if notice.unacknowledged else "",
    ]
    verdict = f"; {VERDICTS[notice.verdict]}" if notice.verdict else ""
    return "\n".join((", ".join(filter(None, parts)) + verdict, *notice.warnings))


def _some(channels: tuple[str, ...]) -> str:
    rest = len(channels) - MOST_CHANNELS
    return ", ".join(channels[:MOST_CHANNELS]) + (f" and {rest} more" if rest > 0 else "")


def _span(seconds: float) -> str:
    return duration(int(seconds * SECOND))


VERDICTS: Final[Mapping[str, str]] = {
    NO_EVENTS: "no events came",
    NOTHING: "nothing was recorded: no frame and no answer came that could be kept",
    NO_REQUEST: "the command never reached the recorder: see docs/recording.md, which client is reached how",
}

_SAY: Final[Mapping[str, Callable[[Any], str]]] = {
    "listening": _listening,
    "metrics": lambda notice: f"the numbers for Prometheus are at {notice.url}",
    "track": lambda notice: f"socket {notice.track} ({notice.market}) opened",
    "track_ended": _ended,
    "dropped": lambda n: f"socket {n.track} ({n.market}) was dropped by the vendor ({n.words}): {n.advice}",
    "answered": lambda notice: f"GET {notice.path}: {notice.status}, {size(notice.bytes)}",
    "authenticated": lambda notice: f"{notice.market}: the key was taken",
    "subscribed": lambda notice: f"subscribed to {_some(notice.channels)}",
    "refused": lambda notice: f"refused: {_some(notice.channels)}: {notice.words}",
    "unacknowledged": lambda notice: f"no answer for {_some(notice.channels)} in {_span(notice.seconds)}",
    "quiet": lambda notice: f"{notice.market}: no event for {_span(notice.seconds)}",
    "lost": lambda n: f"{n.market}: connection lost ({n.reason}), next attempt in {_span(n.retry_seconds)}",
    "gap": lambda notice: f"{notice.market}: gap of {_span(notice.seconds)}: {notice.reason}",
    "stood_still": lambda n: (
        f"the recorder stood still for {_span(n.seconds)}; what came meanwhile is stamped late"
    ),
    "clock_moved": lambda n: (
        f"the wall clock moved by {n.seconds:+.1f} s; the cassette's own clock went on, and both are noted on it"
    ),
    "recovered": lambda n: f"{n.name} was never sealed: {count(n.records, 'record')} saved, and it goes on",
    "kept": lambda n: f"kept: {_some(n.segments)}" if n.segments else "nothing to keep yet",
    "other_host": lambda n: (
        f"{n.host} is no host of the vendor: {'let through unseen' if n.passed else 'refused'}"
    ),
    "lack": lambda notice: notice.message,
    "rejected": lambda n: (
        n.sentence + (f" ({n.times:,} times since this was last said)" if n.times > 1 else "")
    ),
    "error": lambda notice: f"trouble: {notice.message}",
    "report": _report,
}
