"""The flags of `tickdeck play`, in the order of its help, and what they mean as `PlayOptions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tickdeck.cassette.errors import UsageError
from tickdeck.config import added_up
from tickdeck.environment import value_of
from tickdeck.mockserver.choices import AtEnd, EventLoop, Gaps, OnReturn, SlowClient, TimelineOf
from tickdeck.mockserver.options import SECOND, PlayOptions, options_of
from tickdeck.mockserver.repeats import Repeats
from tickdeck.values import duration

DEFAULT_PORT: Final = 8420
PROFILES: Final = ("polygon", "alpaca-2019", "massive-2026")

Function = TypeVar("Function", bound=Callable[..., Any])


def _one_of(name: str, choices: Iterable[str], help: str, default: str | None = None) -> Callable[[Any], Any]:
    return click.option(
        name, type=click.Choice(list(choices)), default=default, show_default=default is not None, help=help
    )


_FLAGS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option(
        "--speed",
        default="1",
        show_default=True,
        help="A factor of recorded time (10, 0.5, 1/3), max, step or lockstep.",
    ),
    click.option(
        "--from", "begin", metavar="PLACE", help="Begin there: +90s, 09:31:05, or a timestamp with its zone."
    ),
    click.option("--to", "end", metavar="PLACE", help="End there, spelled like --from."),
    click.option(
        "--idle-cap", type=duration, metavar="DURATION", help="Wait out no longer stretch without a frame."
    ),
    _one_of("--gaps", [each.value for each in Gaps], "What recorded outages become.", "silence"),
    click.option(
        "--time-shift",
        metavar="WHAT",
        help="Move every time: to now, to today, or by a duration (+1d, -90m).",
    ),
    click.option(
        "--start-on",
        default="subscribe",
        show_default=True,
        metavar="WHAT",
        help="connect, auth, subscribe, control, clients:N, or channels that must all be held (T.AAPL,Q.AAPL).",
    ),
    click.option(
        "--settle",
        type=duration,
        default="50ms",
        show_default=True,
        help="Quiet after a subscription before the start.",
    ),
    _one_of("--timeline", [each.value for each in TimelineOf], "Who shares a playhead.", "key"),
    _one_of(
        "--on-return",
        [each.value for each in OnReturn],
        "When the last client has left and one comes back.",
        "auto",
    ),
    _one_of("--at-end", [each.value for each in AtEnd], "What happens at the end of the tape.", "hold"),
    click.option(
        "--once", is_flag=True, help="End when the tape has ended and every client has read it or left."
    ),
    click.option("--wait", type=duration, help="Exit 1 if no client came in this time (60s with --once)."),
    click.option(
        "--max-lateness", type=duration, help="Exit 1 if the p99 of the lateness was worse than this (5ms)."
    ),
    _one_of("--slow-client", [each.value for each in SlowClient], "A client that does not keep up.", "wait"),
    _one_of(
        "--repeats",
        [each.value for each in Repeats],
        "The same request again [default: by-time, at max and without a tape in-order].",
    ),
    click.option(
        "--rest-latency",
        metavar="LATENCY",
        help="How long REST answers take: recorded, none, or a DURATION [default: recorded at a pace, else none].",
    ),
    click.option(
        "--ignore",
        multiple=True,
        callback=added_up,
        metavar="KIND:NAME",
        help="Leave aside in a request: query:NAME, header:NAME, json:PATH ($.id, of its body). Repeatable.",
    ),
    click.option(
        "--match",
        multiple=True,
        callback=added_up,
        metavar="header:NAME",
        help="A header field that must be equal, too. Repeatable.",
    ),
    click.option(
        "--stub",
        "stubs",
        multiple=True,
        metavar="'GET /path=FILE'",
        help="Answer a request with a file, a body or (HTTP/1.1 429 ...) a whole answer, whatever the cassette says; "
        "'GET /path x2=FILE' twice. Repeatable.",
    ),
    _one_of("--profile", PROFILES, "Whose wording [default: what the cassette learned, else polygon]."),
    click.option(
        "--feed", metavar="WORD", help="Which feed (socket, delayed), where a market was recorded from two."
    ),
    click.option("--key", "keys", multiple=True, help="A good key; all others are refused. Repeatable."),
    click.option(
        "--key-env",
        "key_names",
        multiple=True,
        metavar="NAME",
        help="An environment variable that holds a good key. Repeatable.",
    ),
    click.option("--reject-key", "rejected", multiple=True, metavar="KEY", help="A bad key. Repeatable."),
    click.option(
        "--not-entitled",
        multiple=True,
        metavar="CHANNEL",
        help="Refuse subscriptions to it (Q.*). Repeatable.",
    ),
    click.option(
        "--max-connections",
        type=click.IntRange(min=1),
        metavar="N",
        help="Sockets of one key and market; one more evicts the oldest.",
    ),
    click.option(
        "--host", default="127.0.0.1", show_default=True, help="Where to listen; 127.0.0.1 means ::1 too."
    ),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=DEFAULT_PORT,
        show_default=True,
        help="0 takes a free one.",
    ),
    click.option(
        "--tls", is_flag=True, help="Serve https and wss, with a CA made for this run (needs tickdeck[tls])."
    ),
    click.option("--tls-cert", metavar="FILE", help="Serve https and wss with this certificate."),
    click.option("--tls-key", metavar="FILE", help="The key of --tls-cert."),
    click.option("--deflate", is_flag=True, help="Offer permessage-deflate."),
    _one_of(
        "--event-loop", [each.value for each in EventLoop], "auto takes uvloop if it is installed.", "asyncio"
    ),
    click.option(
        "--control-token-env",
        "token_name",
        metavar="NAME",
        help="An environment variable with the token that the control asks for; beyond loopback it needs one.",
    ),
    click.option(
        "--journal",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Keep what clients did on a cassette, for `tickdeck why`.",
    ),
    click.option(
        "--allow-unmatched", is_flag=True, help="Requests that are not on the cassette do not fail the run."
    ),
    click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout."),
)


def play_flags(command: Function) -> Function:
    """The flags, laid on a click command."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def play_options(flags: dict[str, Any]) -> PlayOptions:
    """The flags as values; `UsageError` for what does not fit together."""
    cap = flags["idle_cap"]
    token = flags["token_name"]
    return options_of(
        speed=flags["speed"],
        begin=flags["begin"],
        end=flags["end"],
        idle_cap=None if cap is None else cap / SECOND,
        gaps=flags["gaps"],
        time_shift=flags["time_shift"],
        start_on=flags["start_on"],
        settle=flags["settle"] / SECOND,
        timeline=flags["timeline"],
        on_return=flags["on_return"],
        at_end=flags["at_end"],
        slow_client=flags["slow_client"],
        repeats=flags["repeats"],
        rest_latency=flags["rest_latency"],
        ignore=flags["ignore"],
        match=flags["match"],
        stubs=dict(map(_stub, flags["stubs"])),
        profile=flags["profile"],
        keys=(*flags["keys"], *(value_of(name, flag="--key-env") for name in flags["key_names"])) or None,
        reject_keys=flags["rejected"],
        not_entitled=flags["not_entitled"],
        max_connections=flags["max_connections"],
        feed=flags["feed"],
        host=flags["host"],
        port=flags["port"],
        tls=flags["tls"],
        tls_cert=flags["tls_cert"],
        tls_key=flags["tls_key"],
        deflate=flags["deflate"],
        event_loop=flags["event_loop"],
        token=None if token is None else value_of(token, flag="--control-token-env"),
        journal=flags["journal"],
    )


def _stub(text: str) -> tuple[str, str]:
    """A query and the name of a file may have equals signs of their own: the file that is there decides."""
    signs = [at for at, letter in enumerate(text) if letter == "=" and at + 1 < len(text)]
    pairs = [(text[:at], text[at + 1 :]) for at in reversed(signs) if " /" in text[:at]]
    if not pairs:
        raise UsageError(f"--stub wants 'GET /path=FILE', not {text!r}")
    return next((pair for pair in pairs if Path(pair[1]).is_file()), pairs[0])
