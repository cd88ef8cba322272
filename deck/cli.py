"""The `tickdeck` command: finds the verb, hands it its arguments, and turns what it raises into one sentence.

A verb is a module `tickdeck.verb_<name>` with a click command called ``command``;
it is imported when it is used, so that `tickdeck --help` loads neither aiohttp nor
websockets nor rich. What a verb returns is the exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from tickdeck import config, variables
from tickdeck.cassette.errors import TickdeckError
from tickdeck.exits import Exit, Outcome, exit_of
from tickdeck.output import flush, forget, occupy_standard_descriptors, say
from tickdeck.watch.printable import one_line

VERBS: Final = {
    "demo": "record, play and compare the bundled cassette",
    "play": "serve a cassette as the vendor would",
    "record": "write a conversation with the vendor onto a cassette",
    "why": "why a client of a run saw an event, or did not",
    "info": "what a cassette holds",
    "cat": "a cassette as JSON lines",
    "pack": "JSON lines as a cassette",
    "cut": "a piece of a cassette: a stretch of time, some channels",
    "verify": "check every checksum, order, digest and index",
    "recover": "save what a broken recording still holds",
    "audit": "look for secrets, and for what may not be shared",
    "synth": "generate a cassette of plausible data",
    "doctor": "what is wrong with an installation",
}
"""In the order of --help."""

TAKES_COMMAND: Final = frozenset({"play", "record"})
"""Verbs for which `--` begins a command to run; for the others it keeps its usual meaning."""


HELP: Final = {"help_option_names": ["-h", "--help"]}
"""Of the deck, and of each verb: click keeps the names that it first made the help of a command with."""


class OutputClosedError(Exception):
    """Whoever read our output has read enough."""


@contextlib.contextmanager
def _closed_output() -> Iterator[None]:
    """A pipe without a reader is ours to tell of: click would make an exit code of its own of it."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosedError from error


def verb_called(name: str) -> click.Command:
    """One of `VERBS`, imported now."""
    found = importlib.import_module(f"tickdeck.verb_{name}").command
    assert isinstance(found, click.Command)
    found.context_settings.update(HELP)
    return variables.read_from_environment(name, found)


class Deck(click.Group):
    """A group that imports a verb only when that verb is used."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _closed_output():  # a help page is printed here
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _closed_output():
            outcome: object = super().invoke(ctx)
            flush()
        return outcome

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        return verb_called(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from tickdeck import __version__

        click.echo(f"tickdeck {__version__}")
        ctx.exit()


@click.group(cls=Deck, context_settings={"auto_envvar_prefix": "TICKDECK", **HELP})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,  # TICKDECK_VERSION pins a version in many a CI
    callback=_version,
    help="Say which version this is.",
)
@click.pass_context
def deck(ctx: click.Context) -> None:
    """A cassette deck for market data: record what a bot and its data provider say to each other, and play it
    back from a local server, byte for byte, at any speed."""
    verb = ctx.invoked_subcommand
    command = None if verb is None else deck.get_command(ctx, verb)
    if verb is not None and command is not None:
        ctx.default_map = {verb: config.defaults(verb, command, known_verbs=VERBS)}


def split_command(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """What is ours, and the command behind the first `--` of a verb that takes one (click swallows `--`)."""
    ours = list(arguments)
    if not ours or ours[0] not in TAKES_COMMAND or "--" not in ours:
        return ours, ()
    at = ours.index("--")
    return ours[:at], tuple(ours[at + 1 :])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code. Every error is one sentence on stderr."""
    if arguments is None:
        occupy_standard_descriptors()
    ours, command = split_command(sys.argv[1:] if arguments is None else arguments)
    try:
        _name_strangers(ours)
        outcome = deck.main(args=ours or ["--help"], prog_name="tickdeck", standalone_mode=False, obj=command)
        flush()  # a help page or a version has not passed `Deck.invoke`
    except (OutputClosedError, BrokenPipeError):
        forget(sys.stdout)
        return Exit.CUT_SHORT
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted before the work was done", Exit.CUT_SHORT)
    except click.ClickException as error:
        return _complain(_sentence(error), Exit.USAGE)
    except (TickdeckError, OSError) as error:
        return _complain(_words(error), exit_of(error))
    except Exception as error:
        if os.environ.get(variables.TRACEBACK):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _complain(f"a defect of tickdeck: {what}; TICKDECK_TRACEBACK=1 shows where", Exit.DIFFERENT)
    if isinstance(outcome, Outcome):
        return _complain(outcome.sentence, outcome.code) if outcome.code != Exit.FINE else Exit.FINE
    return outcome if isinstance(outcome, int) else Exit.FINE


def _name_strangers(ours: Sequence[str]) -> None:
    """Variables that nothing reads, unless help or the version is all that is wanted."""
    if not ours or {"-h", "--help", "--version"} & set(ours):
        return
    sentence = variables.unknown(os.environ, VERBS, verb_called, mentioned=" ".join(ours))
    if sentence:
        say(f"tickdeck: {one_line(sentence)}")


def _complain(sentence: str, code: int) -> int:
    say(f"tickdeck: {one_line(sentence)}")
    return code


def _sentence(error: click.ClickException) -> str:
    """Click's words in the manner of ours: lower case, one line, no final stop, the next step."""
    text = " ".join(error.format_message().split()).rstrip(".")
    text = text[:1].lower() + text[1:]
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    return text if ctx is None else f"{text}; see {ctx.command_path} --help"


def _words(error: TickdeckError | OSError) -> str:
    if isinstance(error, TickdeckError):
        return str(error)
    reason = (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason
