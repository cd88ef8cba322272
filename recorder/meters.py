"""What a recording comes to while it runs, in numbers: for its lines, for a terminal, for Prometheus.

What is measured here is what nobody else can count: how long the recorder kept what
came before it had passed it on, and how long the service took to answer. The rest is
kept where it happens (capture, cassette, redaction) and only brought together.

Delays are kept by market, not by track: a bot that comes back all day makes a track
each time, and whoever keeps these numbers would have to keep a histogram for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from tickdeck.recorder.capture import Counts, Exchange, Message
from tickdeck.watch.exposition import Family, counter, gauge, histogram
from tickdeck.watch.spans import Spans

if TYPE_CHECKING:
    from tickdeck.cassette.recording import Stats

PLACEHOLDERS: Final = 100
"""So many are told one by one, those that came first; the rest together."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How a recording keeps up: with the disk, and between the service and the bot.

    ``journal_*`` is the write-ahead: chunks that are full and not yet in the file, the
    most there were at once, and what stands in the open segment. ``raw_bytes`` of rows
    became ``written_bytes`` of chunks; ``compression`` is their ratio, 0 before the
    first. ``delay_*`` is how long a message from the service was held before it had
    been passed on to the bot, or, as a client, before it was kept.
    """

    paused_seconds: float = 0.0
    journal_chunks: int = 0
    journal_most_chunks: int = 0
    journal_rows: int = 0
    journal_bytes: int = 0
    raw_bytes: int = 0
    written_bytes: int = 0
    compression: float = 0.0
    delay_p50_ns: int = 0
    delay_p99_ns: int = 0


@dataclass(slots=True)
class Meters:
    """What is measured on the way."""

    first_bytes: Spans = field(default_factory=Spans)
    """From a request to the first byte of its answer, upstream."""
    delays: dict[str, Spans] = field(default_factory=dict)
    """By market."""
    errors: int = 0
    reconnects: int = 0
    _markets: dict[int, str] = field(default_factory=dict)

    def opened(self, track: int, market: str) -> None:
        """A connection was made."""
        self._markets[track] = market
        self.delays.setdefault(market, Spans())

    def closed(self, track: int) -> None:
        """It ended."""
        self._markets.pop(track, None)

    def passed_on(self, track: int, now_ns: int, messages: Iterable[Message]) -> None:
        """These were read from the service, and have just been handed to whom they are for."""
        if (market := self._markets.get(track)) is not None:
            delays = self.delays[market]
            for message in messages:
                delays.add(max(now_ns - message.at_ns, 0))

    def answered(self, exchange: Exchange) -> None:
        """A REST request was."""
        self.first_bytes.add(max(exchange.first_byte_ns - exchange.started_ns, 0))

    @property
    def delay(self) -> Spans:
        """Over all markets."""
        whole = Spans()
        for each in self.delays.values():
            whole.merge(each)
        return whole


def flow_of(stats: Stats, meters: Meters) -> Flow:
    """How the recording keeps up."""
    delay = meters.delay
    return Flow(
        paused_seconds=round(stats.paused_seconds, 3),
        journal_chunks=stats.pending,
        journal_most_chunks=stats.most_pending,
        journal_rows=stats.open_rows,
        journal_bytes=stats.open_bytes,
        raw_bytes=stats.raw_bytes,
        written_bytes=stats.written_bytes,
        compression=round(stats.raw_bytes / stats.written_bytes, 2) if stats.written_bytes else 0.0,
        delay_p50_ns=delay.percentile(50),
        delay_p99_ns=delay.percentile(99),
    )


def metrics_of(
    counts: Counts, stats: Stats, meters: Meters, redactions: Mapping[str, Mapping[str, int]]
) -> list[Family]:
    """All of it for Prometheus. Of secrets there are placeholders and numbers."""
    ratio = stats.raw_bytes / stats.written_bytes if stats.written_bytes else 0.0
    return [
        counter("tickdeck_recorder_frames_total", "Frames recorded, of both sides.", counts.frames),
        counter("tickdeck_recorder_payload_bytes_total", "Bytes of payloads and bodies.", counts.bytes),
        counter("tickdeck_recorder_interactions_total", "REST answers recorded.", counts.interactions),
        counter("tickdeck_recorder_tracks_total", "WebSocket connections recorded.", counts.tracks),
        gauge("tickdeck_recorder_tracks_open", "WebSocket connections that are open.", counts.tracks_open),
        counter("tickdeck_recorder_gaps_total", "Gaps on the cassette.", counts.gaps),
        counter(
            "tickdeck_recorder_reconnects_total", "Losses after which it dialled again.", meters.reconnects
        ),
        counter("tickdeck_recorder_errors_total", "What went wrong on the way.", meters.errors),
        counter("tickdeck_recorder_pauses_total", "Times that reading waited for the disk.", stats.pauses),
        counter("tickdeck_recorder_paused_seconds_total", "How long it waited.", stats.paused_seconds),
        gauge("tickdeck_recorder_journal_chunks", "Full chunks not yet in the file.", stats.pending),
        gauge("tickdeck_recorder_journal_rows", "Rows in the open write-ahead segment.", stats.open_rows),
        gauge("tickdeck_recorder_journal_bytes", "Bytes of these rows.", stats.open_bytes),
        counter(
            "tickdeck_recorder_raw_bytes_total", "Bytes of rows in chunks, as they came.", stats.raw_bytes
        ),
        counter("tickdeck_recorder_written_bytes_total", "Bytes of these chunks.", stats.written_bytes),
        gauge(
            "tickdeck_recorder_compression_ratio", "Raw by written bytes; 0 before the first chunk.", ratio
        ),
        histogram(
            "tickdeck_recorder_delay_seconds",
            "From reading a message off the service to having handed it on, by market.",
            meters.delays,
            label="market",
        ),
        histogram(
            "tickdeck_recorder_first_byte_seconds",
            "From a REST request to the first byte of the answer from upstream.",
            meters.first_bytes,
        ),
        counter(
            "tickdeck_recorder_redactions_total",
            "How often a placeholder was put in the place of its secret.",
            _by_placeholder(redactions),
            label="placeholder",
        ),
    ]


def _by_placeholder(redactions: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    told = iter(redactions.items())
    by = {name: sum(places.values()) for name, places in islice(told, PLACEHOLDERS)}
    rest = sum(sum(places.values()) for _, places in told)
    return {**by, "others": rest} if rest else by
