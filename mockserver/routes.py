"""The routes of the control: each verb with its parameters, declared once.

What a request may say, what is wrong with one, the list at ``GET /__tickdeck/`` and
the reference page (docs/control.md, held to this table by a test) all come from here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeAlias

from tickdeck.cassette.errors import UsageError
from tickdeck.watch.gate import Refused

CONTROL: Final = "/__tickdeck"
METRICS: Final = "metrics"
"""The kind of the one answer that is no JSON."""

MOST_SECONDS: Final = 3600
MOST_NUMBER: Final = 2**53
MOST_DIGITS: Final = 16
_SHOWN: Final = 60

Pairs: TypeAlias = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Type:
    """What a value may be. ``read`` takes the text of a query or a JSON value; `ValueError` if it will not do."""

    name: str
    wants: str
    read: Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a route can be told; ``argument`` is the verb's own name for it, where that differs."""

    name: str
    type: Type
    meaning: str
    required: bool = False
    argument: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A verb over HTTP. ``kind`` is that of the answer; a body that is an array is the parameter ``whole``."""

    method: str
    name: str
    meaning: str
    kind: str = "state"
    parameters: tuple[Parameter, ...] = ()
    whole: str | None = None

    @property
    def path(self) -> str:
        """``/__tickdeck/refuse-keys``."""
        return f"{CONTROL}/{self.name}"

    @property
    def verb(self) -> str:
        """The name of the method that does it."""
        return self.name.replace("-", "_")


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError
    return value


def _spelled(value: object) -> object:
    """A short text, or a number as its text."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > _SHOWN:
        raise ValueError
    return text


def _number(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_NUMBER:
        raise ValueError
    return value


def _seconds(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    seconds = float(value)
    if not math.isfinite(seconds) or not 0 <= seconds <= MOST_SECONDS:
        raise ValueError
    return seconds


def _flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[value] if value in ("true", "false") else _text(None)


def _names(value: object) -> object:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise ValueError
    return names


def _frame(value: object) -> object:
    return value if isinstance(value, str | bytes) else compact(value)


def compact(value: object) -> bytes:
    """JSON without spaces, as UTF-8; half a character, which UTF-8 has none of, stays an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _headers(value: object) -> object:
    if not isinstance(value, dict) or not all(isinstance(each, str | int) for each in value.values()):
        raise ValueError
    return value


TEXT: Final = Type("text", "a text", _text)
NUMBER: Final = Type("number", "a whole number", _number)
SECONDS: Final = Type("seconds", f"seconds from 0 to {MOST_SECONDS}", _seconds)
DURATION: Final = Type("duration", "a duration such as 500ms", _spelled)
PLACE: Final = Type("place", "a place such as +90s or 09:31:05", _spelled)
SPEED: Final = Type("speed", "a factor, max, step or lockstep", _spelled)
FLAG: Final = Type("flag", "true or false", _flag)
NAMES: Final = Type("names", "an array of texts, or one text with commas", _names)
HEADERS: Final = Type("headers", "an object of texts", _headers)
ANYTHING: Final = Type("anything", "any JSON", lambda value: value)
FRAME: Final = Type("frame", "an array of events", _frame)

_TIMELINE: Final = Parameter("timeline", NUMBER, "only this timeline, counted from 1; else all")
_FRAMES: Final = Parameter("frames", NUMBER, "how many frames, up to 10000; one, if nothing is said")
_DURATION: Final = Parameter("duration", DURATION, "a stretch of the tape instead: `500ms`, `1m30s`")

ROUTES: Final = (
    Route("GET", "state", "Where everything stands."),
    Route("GET", "clients", "Who is connected: what it holds, where it is.", kind="clients"),
    Route("GET", "report", "What the run has come to so far.", kind="report"),
    Route("GET", "misses", "Requests that were not on the cassette.", kind="misses"),
    Route("GET", "metrics", "The numbers of the run, as Prometheus reads them.", kind=METRICS),
    Route(
        "GET",
        "journal",
        "What happened so far, in order.",
        kind="journal",
        parameters=(
            Parameter("since", NUMBER, "begin with this entry, counted from 0: the last answer's `next`"),
            Parameter("limit", NUMBER, "so many entries at most; 1000, if nothing is said"),
        ),
    ),
    Route(
        "GET",
        "wait",
        "Answers once something has come about.",
        parameters=(
            Parameter(
                "for",
                TEXT,
                "`started`, `finished`, `delivered` (clients have taken in all that is due now), `left` (everybody), "
                "`subscribed` or `events` (of `channel`); `finished`, if nothing is said",
                argument="what",
            ),
            Parameter("channel", TEXT, "with `subscribed` and `events`: `T.AAPL`, `T.*`"),
            Parameter("n", NUMBER, "so many events; one, if nothing is said"),
            Parameter("timeout", SECONDS, "give up after so many seconds; 30, if nothing is said"),
        ),
    ),
    Route("POST", "pause", "Stand still.", parameters=(_TIMELINE,)),
    Route("POST", "resume", "Go on; with `--start-on control`, start.", parameters=(_TIMELINE,)),
    Route(
        "POST",
        "speed",
        "Go on at another speed.",
        parameters=(
            Parameter("speed", SPEED, "`10`, `0.5`, `1/3`, `max`, `step` or `lockstep`", required=True),
            _TIMELINE,
        ),
    ),
    Route(
        "POST",
        "seek",
        "Jump to a place on the tape.",
        parameters=(
            Parameter(
                "to", PLACE, "`+90s`, `09:31:05` (market time) or a timestamp with its zone", required=True
            ),
            _TIMELINE,
        ),
    ),
    Route(
        "POST",
        "step",
        "Let frames, or a stretch of the tape, go, and stand.",
        kind="moved",
        parameters=(_FRAMES, _DURATION, _TIMELINE),
    ),
    Route(
        "POST",
        "burst",
        "Let frames, or a stretch of the tape, go at once, and go on from there.",
        kind="moved",
        parameters=(_FRAMES, _DURATION, _TIMELINE),
    ),
    Route(
        "POST",
        "stub",
        "Answer a request so, whatever the cassette says.",
        kind="stub",
        parameters=(
            Parameter(
                "request",
                TEXT,
                "method and path: `GET /v1/marketstatus/now`; with a query for that query alone",
                required=True,
            ),
            Parameter("body", ANYTHING, "a text as it is, anything else as JSON"),
            Parameter("status", NUMBER, "the status; 200, if nothing is said"),
            Parameter("content_type", TEXT, "`application/json`, if nothing is said"),
            Parameter("headers", HEADERS, 'header fields: `{"Retry-After": "1"}`'),
            Parameter("times", NUMBER, "so often, then as recorded again; always, if nothing is said"),
            Parameter("clear", FLAG, "answer as recorded again"),
        ),
    ),
    Route(
        "POST",
        "refuse-keys",
        "Refuse API keys from now on; who is in stays in.",
        kind="keys",
        parameters=(
            Parameter("keys", NAMES, "these; all, if none is named"),
            Parameter("refuse", FLAG, "`false` takes them again"),
        ),
    ),
    Route(
        "POST",
        "send",
        "A frame of one's own, to the clients that hold its channels.",
        kind="sent",
        parameters=(
            Parameter(
                "frame",
                FRAME,
                "a JSON array of events, each with its `ev`",
                required=True,
                argument="payload",
            ),
            Parameter("market", TEXT, "only on this market's sockets"),
        ),
        whole="frame",
    ),
    Route(
        "POST",
        "drop",
        "Lose every socket, or one.",
        parameters=(
            Parameter("code", NUMBER, "the close code; without it the loss is abrupt"),
            Parameter("reason", TEXT, "the reason in the close frame"),
            Parameter("client", NUMBER, "only this client, counted from 1"),
        ),
    ),
    Route("POST", "reset", "As if the server had just started; sockets are closed with 1001."),
)

_BY_NAME: Final = {route.name: route for route in ROUTES}


def listing() -> list[dict[str, object]]:
    """The table as JSON has it."""
    return [
        {
            "method": route.method,
            "path": route.path,
            "meaning": route.meaning,
            "parameters": [
                {
                    "name": each.name,
                    "type": each.type.name,
                    "required": each.required,
                    "meaning": each.meaning,
                }
                for each in route.parameters
            ],
        }
        for route in ROUTES
    ]


def is_control(path: str) -> bool:
    """Whether a path is the control's, and not the service's."""
    return path == CONTROL or path.startswith(f"{CONTROL}/")


def find(path: str) -> Route | Refused:
    """The route of a path of the control."""
    name = path.removeprefix(CONTROL).strip("/")
    if (route := _BY_NAME.get(name)) is not None:
        return route
    near = get_close_matches(name[:_SHOWN], _BY_NAME, n=1, cutoff=0.5)
    if not near:
        return Refused(404, f"there is no {_shown(path)}; GET {CONTROL}/ lists what there is")
    nearest = _BY_NAME[near[0]]
    return Refused(404, f"there is no {_shown(path)}; nearest: {nearest.method} {nearest.path}")


def arguments(route: Route, query: Pairs, body: bytes = b"") -> dict[str, object]:
    """What the verb is called with; `UsageError` for what it cannot be told."""
    told = _together([*_from_query(query), *_from_body(route, body)])
    known = {each.name: each for each in route.parameters}
    for name in told:
        if name not in known:
            raise UsageError(f"{route.name} has no parameter {_shown(name)}; it takes {_some(known)}")
    for parameter in route.parameters:
        if parameter.required and parameter.name not in told:
            raise UsageError(f"{route.name} wants {parameter.name}: {parameter.type.wants}")
    return {known[name].argument or name: _read(known[name], value) for name, value in told.items()}


def _from_query(query: Pairs) -> list[tuple[str, object]]:
    return [(name, value) for name, value in query]


def _from_body(route: Route, body: bytes) -> list[tuple[str, object]]:
    if not body.strip():
        return []
    told = parse(body)
    if route.whole is not None and isinstance(told, list):
        return [(route.whole, body.strip())]
    if not isinstance(told, dict):
        raise UsageError(f"the body must be a JSON object with parameters, not {_shown(told)}")
    return [(name, value) for name, value in told.items() if value is not None]


def parse(body: bytes) -> object:
    """A body as JSON; `UsageError` if it is none."""
    try:
        told: object = json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise UsageError("the body is nested too deeply") from None
    except ValueError:
        raise UsageError(
            "the body is no JSON in UTF-8; leave it out, or send an object with parameters"
        ) from None
    return told


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _together(told: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    together: dict[str, object] = {}
    for name, value in told:
        if name in together:
            raise UsageError(f"{_shown(name)} was said twice")
        together[name] = value
    return together


def _read(parameter: Parameter, value: object) -> object:
    try:
        return parameter.type.read(value)
    except (ValueError, OverflowError):
        raise UsageError(f"{parameter.name} must be {parameter.type.wants}, not {_shown(value)}") from None


def _some(known: Iterable[str]) -> str:
    return ", ".join(known) or "none"


def _shown(value: object) -> str:
    """A value in a sentence, cut to a length; of what has parts only what it is."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    shown = json.dumps(value) if isinstance(value, bool) or value is None else repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
