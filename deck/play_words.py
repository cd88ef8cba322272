"""What `tickdeck play` says to a person: the JSON lines in words, with market time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tickdeck import output
from tickdeck.cassette.readable import Readable
from tickdeck.gateway.identity import VARIABLES
from tickdeck.mockserver.choices import Channels, Clients, StartOn
from tickdeck.mockserver.options import PlayOptions
from tickdeck.mockserver.receipts import WORDS, Unsettled
from tickdeck.paste import ANY_KEY, KEY_OF_YOURS, paste_lines
from tickdeck.watch.printable import values
from tickdeck.words import count, duration, market_time, offset, size

Line = Mapping[str, Any]
MOST_CHANNELS: Final = 6

_GATES: Final = {
    StartOn.CONNECT: "when a client connects",
    StartOn.AUTH: "when a client has authenticated",
    StartOn.SUBSCRIBE: "with the first subscription",
    StartOn.CONTROL: "when the control says resume",
}


class PlayWords:
    """Says each line on stderr; what needs no words is left out."""

    def __init__(self, cassette: Readable, options: PlayOptions) -> None:
        self._cassette = cassette
        self._options = options
        markets = [track.market for track in cassette.survey.tracks.values()]
        self._market = markets[0] if markets else "stocks"
        lets_any_in = options.good_keys is None and ANY_KEY not in options.bad_keys
        self._key = ANY_KEY if lets_any_in else KEY_OF_YOURS
        self._say: Mapping[str, Callable[[Line], str]] = {
            "listening": self._listening,
            "connected": lambda line: f"{_who(line)} connected to {line['market']}",
            "authenticated": lambda line: f"{_who(line)} authenticated",
            "refused": lambda line: f"{_who(line)} was refused",
            "subscribed": lambda line: (
                f"{_who(line)} subscribed to {_some(line['channels'])}{_unrecorded(line)}"
            ),
            "unsubscribed": lambda line: f"{_who(line)} unsubscribed from {_some(line['channels'])}",
            "request": lambda line: f"{line['method']} {line['url']}: {line['status']}{_trouble(line)}",
            "miss": lambda line: str(line["sentence"]),
            "error": lambda line: str(line["sentence"]),
            "rejected": lambda line: f"{line['sentence']}{_times(line['times'])}",
            "other_host": lambda line: f"{line['host']} is no host of the vendor: refused",
            "lack": lambda line: str(line["message"]),
            "started": lambda line: (
                f"{_course(line)} started at {self._when(line)}, speed {self._options.speed}"
            ),
            "resumed": lambda line: f"{_course(line)} resumed at {self._when(line)}",
            "gap": self._gap,
            "shifted": lambda line: f"every time is moved by {line['shift']}",
            "looped": lambda line: f"{_course(line)} begins lap {line['lap']}",
            "control": lambda line: (
                f"{_course(line) if 'timeline' in line else 'the control'}: {_told(line)}"
            ),
            "evicted": lambda line: f"{_who(line)} is one connection too many of its key, and has to go",
            "slow": lambda line: f"{_who(line)} does not keep up, and has to go",
            "finished": lambda line: f"{_course(line)} came to the end of the tape at {self._when(line)}",
            "left": lambda line: f"{_who(line)} left: {_ending(line)}",
            "misstep": lambda line: f"{_doer(line)} made a misstep: {line['misstep']}, {line['detail']}",
            "report": _report,
        }

    def tell(self, line: Line) -> None:
        """One line in words."""
        say = self._say.get(line["kind"])
        if say is not None:
            output.say(say({name: values(part) for name, part in line.items()}))

    def _listening(self, line: Line) -> str:
        header, survey = self._cassette.header, self._cassette.survey
        first = market_time(self._cassette.wall_ns(survey.first_offset_ns or 0), self._market)
        length = (survey.last_offset_ns or 0) - (survey.first_offset_ns or 0)
        playing = (
            f"playing {self._cassette.name}: {header.source}, {duration(length)} from {first}, "
            f"{count(sum(track.frames for track in survey.tracks.values()), 'frame')}, "
            f"{count(survey.interactions, 'REST answer')}; wording: {line['profile']}"
        )
        paste = paste_lines(self._cassette, line, market=self._market, key=self._key)
        return "\n".join(
            (
                playing,
                *line["notes"],
                *paste,
                *_trust(line),
                f"the tape starts {_gate(self._options)}; Ctrl-C ends the run",
            )
        )

    def _gap(self, line: Line) -> str:
        return (
            f"{_course(line)}: the recording has a gap of {duration(line['length_ns'])} on {line['market']} "
            f"from {self._when(line)}: {line['reason']}"
        )

    def _when(self, line: Line) -> str:
        wall = datetime.fromisoformat(line["market_time"])
        wall_ns = int(wall.timestamp()) * 10**9 + wall.microsecond * 1000
        shown = market_time(wall_ns, str(line.get("market", self._market)))
        return f"{shown} ({offset(max(line['position_ns'], 0))})"


def _trust(line: Line) -> list[str]:
    """What makes clients trust the throw-away CA."""
    if line["ca"] is None:
        return []
    variables = " ".join(f"{name}={line['ca']}" for name in VARIABLES)
    return ["  trusted by Python, requests and Node with:", f"    export {variables}"]


def _told(line: Line) -> str:
    """``seek +90s``, ``step 3 frames``: what the control was told."""
    words = [str(line["verb"])]
    for name, unit in (("speed", ""), ("to", ""), ("frames", " frames"), ("request", ""), ("code", "")):
        if line.get(name) is not None:
            words.append(f"{line[name]}{unit}")
    if line.get("duration_ns") is not None:
        words.append(duration(line["duration_ns"]))
    return " ".join(words)


def _who(line: Line) -> str:
    return f"client {line['client']}"


def _doer(line: Line) -> str:
    """A client, or a request."""
    return _who(line) if "client" in line else f"{line['method']} {line['url']}"


def _course(line: Line) -> str:
    return f"timeline {line['timeline']}" + (f", run {line['run']}" if line.get("run", 1) > 1 else "")


def _some(channels: Sequence[str]) -> str:
    rest = len(channels) - MOST_CHANNELS
    return ", ".join(channels[:MOST_CHANNELS]) + (f" and {rest} more" if rest > 0 else "")


def _unrecorded(line: Line) -> str:
    return f" (never recorded: {_some(line['unrecorded'])})" if line["unrecorded"] else ""


def _trouble(line: Line) -> str:
    variant = f"a variant, {line['variant']}" if line.get("variant") else ""
    said = "; ".join(filter(None, (variant, line.get("trouble", ""))))
    return f" ({said})" if said else ""


def _ending(line: Line) -> str:
    how = "without a close frame" if line["code"] is None else f"code {line['code']}"
    return f"{how}, by the {line['by']}" + (f", '{line['reason']}'" if line["reason"] else "")


def _gate(options: PlayOptions) -> str:
    match options.start_on:
        case Channels(names):
            return f"when {', '.join(names)} are held"
        case Clients(number):
            return f"when {count(number, 'client')} hold a subscription"
        case word:
            return _GATES[word]


def _report(line: Line) -> str:
    tapes = [
        f"{_who(row)}: {count(row['frames'], 'frame')}, {size(row['bytes'])}, digest {row['digest']}{_untaken(row)}"
        for row in line["clients"]
    ]
    asked = ", ".join(f"{number:,} {outcome}" for outcome, number in line["requests"].items())
    return "\n".join(
        (
            *tapes,
            *(
                f"{_who(row)} was no longer waited for: {WORDS[Unsettled(row['not_waited_for'])]}"
                for row in line["clients"]
                if row["not_waited_for"] is not None
            ),
            *_unheld(line["held_by_nobody"]),
            *(
                f"{count(times, 'time')}: {sentence}"
                for sentence, times in line["rejected"].items()
                if times > 1
            ),
            *(f"an answer was laid over {request}, and nobody asked it" for request in line["unused_stubs"]),
            f"requests: {asked}; {count(line['missteps'], 'misstep')}; lateness {_late(line['lateness'])}",
        )
    )


def _times(number: int) -> str:
    return f" ({number:,} times since this was last said)" if number > 1 else ""


def _unheld(rows: Sequence[Line]) -> list[str]:
    """``on the tape, held by nobody: T.MSFT 168 events``."""
    if not rows:
        return []
    told = [f"{row['channel']} {count(row['events'], 'event')}" for row in rows[:MOST_CHANNELS]]
    rest = len(rows) - MOST_CHANNELS
    return [f"on the tape, held by nobody: {', '.join(told)}" + (f" and {rest} more" if rest > 0 else "")]


def _untaken(row: Line) -> str:
    """What was written and never reached the client's machine."""
    return f"; {size(row['untaken'])} of it never reached the client" if row["untaken"] else ""


def _late(lateness: Mapping[str, int]) -> str:
    """``p50 81.2 µs, p99 403 µs, max 2.1 ms, drift 3 µs``; the drift of a tape that caught up is none."""
    words = [f"{name} {duration(lateness[f'{name}_ns'])}" for name in ("p50", "p99", "max")]
    words.append(f"drift {duration(max(lateness['drift_ns'], 0))}")
    if lateness["early"]:
        words.append(count(lateness["early"], "frame") + " early")
    return ", ".join(words)
