"""`tickdeck info` for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from tickdeck.summary import Gap, Summary, Track
from tickdeck.watch.printable import values
from tickdeck.words import columns, count, duration, market_time, offset, size

LARGE: Final = 5 << 20
"""Bytes from which on a cassette is too large for a repository, and a piece of it is suggested."""

SUGGESTED: Final = 3


def info_lines(summary: Summary, *, most_channels: int) -> Iterator[str]:
    """The page, line by line."""
    summary = cast(Summary, values(summary))  # they come from whoever was recorded
    yield f"{summary['name']}: {_state(summary)}"
    yield from columns(_facts(summary))
    yield from _section("tracks", [_track_row(track) for track in summary["tracks"]])
    yield from _channel_lines(summary["channels"], most_channels)
    yield from _section("gaps", [_gap_row(gap, summary["epoch_ns"]) for gap in summary["gaps"]])
    yield from _section("wording learned", list(summary["profile"].items()))
    yield from _smaller(summary)
    yield from _section("redactions", [_redaction_row(*pair) for pair in summary["redactions"].items()])


def _state(summary: Summary) -> str:
    kind = (
        "a cassette" if summary["sealed"] else "a recording that was never sealed (tickdeck recover seals it)"
    )
    return f"{kind} in the {summary['dialect']} dialect"


def _facts(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "source", f"{summary['source']}: {summary['reminder']}"
    if summary["note"]:
        yield "note", summary["note"]
    if summary["origins"]:
        yield "origins", ", ".join(summary["origins"])
    yield "made by", ", ".join(filter(None, (summary["tool"], summary["program"]))) or "unknown"
    if len(summary["segments"]) > 1:
        yield "segments", ", ".join(summary["segments"])
    yield from _span(summary)
    yield "frames", f"{summary['frames']:,}, {count(summary['events'], 'event')}"
    yield "interactions", f"{summary['interactions']:,}"
    yield "size", _weight(summary)


def _span(summary: Summary) -> Iterator[tuple[str, str]]:
    first, last, epoch = summary["first_offset_ns"], summary["last_offset_ns"], summary["epoch_ns"]
    if first is None or last is None:
        yield "span", "empty"
        return
    market = summary["tracks"][0]["market"] if summary["tracks"] else "stocks"
    yield "span", f"{duration(last - first)}, {offset(first)} to {offset(last)}"
    yield "market time", f"{market_time(epoch + first, market)} to {market_time(epoch + last, market)}"


def _weight(summary: Summary) -> str:
    raw, packed = summary["raw_bytes"], summary["size"]
    ratio = f", 1/{raw / packed:.1f} of {size(raw)} raw" if raw > packed else f" for {size(raw)} raw"
    return f"{size(packed)}{ratio}, {count(summary['chunks'], 'chunk')}"


def _section(title: str, rows: list[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield title
        yield from columns(rows)


def _track_row(track: Track) -> tuple[str, ...]:
    where = track["market"] + (f" ({track['feed']})" if track["feed"] else "")
    opaque = f", {track['opaque']:,} opaque" if track["opaque"] else ""
    return (
        str(track["track"]),
        where,
        f"opened {offset(track['opened_ns'])}",
        _how_it_ended(track),
        f"{count(track['frames'], 'frame')}, {count(track['events'], 'event')}{opaque}",
    )


def _how_it_ended(track: Track) -> str:
    if track["closed_ns"] is None:
        return "open at the end"
    by = f" by the {track['closed_by']}" if track["closed_by"] else ""
    if track["close_code"] is None:
        how = f"lost without a close frame,{by}" if by else "ended with the recording"
    else:
        how = f"closed{by}, code {track['close_code']}"
    reason = f" '{track['close_reason']}'" if track["close_reason"] else ""
    return f"{how}{reason} {offset(track['closed_ns'])}"


def _channel_lines(channels: dict[str, int], most: int) -> Iterator[str]:
    listed = list(channels.items())[:most]
    if listed:
        more = len(channels) - len(listed)
        yield f"channels ({len(channels):,})"
        yield from columns([(name, f"{events:,}") for name, events in listed], right=frozenset({1}))
        if more:
            yield f"  and {more:,} more; --json lists all"


def _gap_row(gap: Gap, epoch_ns: int) -> tuple[str, ...]:
    start = market_time(epoch_ns + gap["offset_ns"], gap["market"])
    return (
        gap["market"],
        f"{offset(gap['offset_ns'])} ({start})",
        duration(gap["end_ns"] - gap["offset_ns"]),
        gap["reason"],
    )


def _redaction_row(placeholder: str, places: dict[str, int]) -> tuple[str, ...]:
    return placeholder, ", ".join(f"{place} ×{times:,}" for place, times in places.items())


def _smaller(summary: Summary) -> Iterator[str]:
    """What the busiest channels of a large cassette would take alone, by their share of the events."""
    total = sum(summary["channels"].values())
    if summary["size"] < LARGE or len(summary["channels"]) < 2 or not total:
        return
    rows = [
        (f"{name} alone", f"about {size(summary['size'] * events // total)}")
        for name, events in list(summary["channels"].items())[:SUGGESTED]
    ]
    yield f"smaller: tickdeck cut {summary['name']} --channel {next(iter(summary['channels']))} -o piece.cassette"
    yield from columns(rows)
