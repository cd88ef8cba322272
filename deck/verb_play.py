"""`tickdeck play`: flags in, `PlayOptions` out, and the run handed to `tickdeck.playing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from tickdeck.cassette.placing import Chain
from tickdeck.environment import value_of
from tickdeck.mockserver.options import SECOND, AtEnd, OnReturn, PlayOptions, options_of
from tickdeck.mockserver.shelf import Repeats
from tickdeck.values import TakesCommand, duration

DEFAULT_PORT: Final = 8420
PROFILES: Final = ("polygon", "alpaca-2019", "massive-2026")


@click.command(cls=TakesCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--chain",
    type=click.Choice([each.value for each in Chain]),
    default="back-to-back",
    show_default=True,
    help="How several files follow each other; wall keeps the distances of their clocks.",
)
@click.option(
    "--speed", default="1", show_default=True, help="A factor of recorded time (10, 0.5, 1/3), or max."
)
@click.option(
    "--start-on",
    default="subscribe",
    show_default=True,
    metavar="WHAT",
    help="connect, auth, subscribe, or channels that must all be held (T.AAPL,Q.AAPL).",
)
@click.option(
    "--settle",
    type=duration,
    default="50ms",
    show_default=True,
    help="Quiet after a subscription before the start.",
)
@click.option(
    "--on-return",
    type=click.Choice([each.value for each in OnReturn]),
    default="auto",
    show_default=True,
    help="When the last client has left and one comes back.",
)
@click.option(
    "--at-end",
    type=click.Choice([each.value for each in AtEnd]),
    default="hold",
    show_default=True,
    help="What sockets do at the end of the tape.",
)
@click.option(
    "--once", is_flag=True, help="End when the tape has ended and every client has read it or left."
)
@click.option("--wait", type=duration, help="Exit 1 if no client came in this time (60s with --once).")
@click.option(
    "--repeats",
    type=click.Choice([each.value for each in Repeats]),
    help="The same request again [default: by-time, at max in-order].",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="Whose wording [default: what the cassette learned, else polygon].",
)
@click.option(
    "--feed", metavar="WORD", help="Which feed (socket, delayed), where a market was recorded from two."
)
@click.option("--key", "keys", multiple=True, help="A good key; all others are refused. Repeatable.")
@click.option(
    "--key-env",
    "key_names",
    multiple=True,
    metavar="NAME",
    help="An environment variable that holds a good key. Repeatable.",
)
@click.option("--reject-key", "rejected", multiple=True, metavar="KEY", help="A bad key. Repeatable.")
@click.option(
    "--not-entitled", multiple=True, metavar="CHANNEL", help="Refuse subscriptions to it (Q.*). Repeatable."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; 127.0.0.1 means ::1 too."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--allow-unmatched", is_flag=True, help="Requests that are not on the cassette do not fail the run."
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout.")
@click.pass_obj
def command(run: tuple[str, ...], /, files: tuple[Path, ...], **flags: Any) -> int:
    """Serve FILE as the vendor would: REST and every market's socket, on one port.

    Several files, or a pattern in quotes ('monday-*.cassette'), are played as one tape, in the order given.

    With -- COMMAND the command is started once the server listens, with TICKDECK_HTTP, TICKDECK_WS,
    TICKDECK_FEED, POLYGON_WS_URL and DATA_PROXY_WS set; its end is the end of the run, its exit code ours.
    """
    options = play_options(flags)
    from tickdeck.cassette.files import open_cassettes
    from tickdeck.playing import Ends, play

    ends = Ends(once=flags["once"], wait_ns=flags["wait"], allow_unmatched=flags["allow_unmatched"])
    with open_cassettes(files, order=flags["chain"]) as cassette:
        return play(cassette, options, ends=ends, command=run, as_json=flags["as_json"])


def play_options(flags: dict[str, Any]) -> PlayOptions:
    """The flags as values; `UsageError` for what does not fit together."""
    return options_of(
        speed=flags["speed"],
        start_on=flags["start_on"],
        settle=flags["settle"] / SECOND,
        on_return=flags["on_return"],
        at_end=flags["at_end"],
        repeats=flags["repeats"],
        profile=flags["profile"],
        keys=(*flags["keys"], *(value_of(name, flag="--key-env") for name in flags["key_names"])) or None,
        reject_keys=flags["rejected"],
        not_entitled=flags["not_entitled"],
        feed=flags["feed"],
        host=flags["host"],
        port=flags["port"],
    )
