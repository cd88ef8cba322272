"""`tickdeck record`: its flags, and the question before a connection is taken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from tickdeck.cassette.errors import UsageError
from tickdeck.exits import Outcome
from tickdeck.output import say
from tickdeck.values import TakesCommand, duration, span
from tickdeck.watch.printable import one_line

TAKES_IT: Final = (
    "this connects with your key to {market}: most plans allow one connection a market, so any other "
    "of this key is dropped; to keep your bot's, record it as a proxy (--listen)"
)


@click.command(cls=TakesCommand)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The cassette to make.",
)
@click.option("--listen", metavar="HOST:PORT", help="Be a proxy here [default: 127.0.0.1:8421].")
@click.option("--upstream-http", metavar="URL", help="Where REST goes [default: https://api.massive.com].")
@click.option("--upstream-ws", metavar="URL", help="Where sockets go [default: wss://FEED.massive.com].")
@click.option(
    "--subscribe",
    multiple=True,
    metavar="CHANNEL",
    help="Be a client: record this channel (T.MSFT). Repeatable.",
)
@click.option(
    "--get", "gets", multiple=True, metavar="PATH", help="Be a client: record this request. Repeatable."
)
@click.option("--market", help="Which market's socket [default: stocks].")
@click.option("--feed", default="socket", show_default=True, help="Which feed (socket, delayed).")
@click.option(
    "--take-connection", is_flag=True, help="Do not ask before the key's other connection is dropped."
)
@click.option("--for", "for_ns", type=duration, help="Record so long.")
@click.option("--until", metavar="HH:MM", help="Record until then, in the zone of the market's exchange.")
@click.option(
    "--only",
    multiple=True,
    metavar="CHANNEL",
    help="Keep frames with an event on it (T.AAPL, T.*), and no others. Repeatable.",
)
@click.option(
    "--rotate",
    "rotations",
    multiple=True,
    type=span,
    metavar="1h|1GiB",
    help="Go on in another segment after so long, or so much. Repeatable.",
)
@click.option(
    "--ring",
    "ring_ns",
    type=duration,
    metavar="DURATION",
    help="Hold only the last minutes (5m), until SIGUSR1, or a command that fails, has them kept.",
)
@click.option(
    "--sync",
    "sync_ns",
    type=duration,
    default="1s",
    show_default=True,
    help="What a power failure may cost; 0 waits for the disk each time.",
)
@click.option("--append", is_flag=True, help="Go on in a further segment of the recording that is there.")
@click.option(
    "-f", "--force", is_flag=True, help="Replace a cassette that is there, once the new one is sealed."
)
@click.option(
    "--secret-env",
    "secret_names",
    multiple=True,
    metavar="NAME",
    help="A variable whose value is to be redacted. Repeatable.",
)
@click.option("--note", default="", help="A note for the cassette's header.")
@click.option("--strict-hosts", is_flag=True, help="Refuse the command every host that is not the vendor's.")
@click.option("--trust-env", is_flag=True, help="Heed HTTPS_PROXY and its kin on the way upstream.")
@click.option("--metrics", metavar="HOST:PORT", help="Also tell the numbers to Prometheus here.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout.")
@click.pass_obj
def command(run: tuple[str, ...], /, **flags: Any) -> Outcome:
    """Write a conversation with the vendor onto a cassette.

    Without --subscribe or --get it is a proxy: point your bot's base URLs at it. With them it is a client of
    its own, with the key from MASSIVE_API_KEY, POLYGON_API_KEY or APCA_API_KEY_ID. Ctrl-C seals the cassette.

    With -- COMMAND the command is started once the proxy listens, with TICKDECK_HTTP, TICKDECK_WS,
    TICKDECK_FEED, POLYGON_WS_URL and DATA_PROXY_WS set; its end seals the cassette, its exit code is ours.
    For addresses of the vendor that are written into it a forward proxy and a throw-away CA are set, too.
    """
    from tickdeck.recording import record, record_options

    options = record_options(flags, command=run)
    if options.subscribe:
        _make_sure(options.market, taken=flags["take_connection"])
    return record(options, command=run, as_json=flags["as_json"])


def _make_sure(market: str, *, taken: bool) -> None:
    """Nobody's connection is dropped unawares."""
    warning = TAKES_IT.format(market=market)
    if taken:
        say(one_line(warning))
    elif not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{warning}; --take-connection goes ahead")
    else:
        say(one_line(warning))
        click.confirm("go ahead?", err=True, abort=True)
