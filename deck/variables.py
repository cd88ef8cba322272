"""The variables ``TICKDECK_*``: those that somebody reads, and those that are a slip of the pen.

A misspelled variable changes nothing and says nothing, so that it is said once, by its name alone: what it holds may
be a secret. It is no error, for the environment of a machine is not always the user's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import click

from tickdeck.gateway.variables import addresses

PREFIX: Final = "TICKDECK_"
MOST_NAMED: Final = 5
LIKENESS: Final = 0.7
TRACEBACK: Final = f"{PREFIX}TRACEBACK"
_NO_FLAGS: Final = frozenset({TRACEBACK, *addresses(http="", ws="", feed="")})

Load = Callable[[str], click.Command]
"""Finds a verb by its name."""


def variable_of(verb: str, flag: str) -> str:
    """``TICKDECK_PLAY_START_ON`` of ``play`` and ``--start-on``."""
    return f"{PREFIX}{verb}_{flag.removeprefix('--')}".replace("-", "_").upper()


def read_from_environment(verb: str, command: click.Command) -> click.Command:
    """The command; click names the variables of its flags after our parameters, and now also after the flags."""
    for option in _options(command):
        if option.envvar is None:
            option.envvar = [variable_of(verb, flag) for flag in option.opts if flag.startswith("--")]
    return command


def unknown(environment: Iterable[str], verbs: Collection[str], load: Load, *, mentioned: str = "") -> str:
    """One sentence about the variables that nobody reads, or nothing; one ``mentioned`` by a flag is the user's own."""
    ours = sorted(name for name in environment if name.startswith(PREFIX) and name not in mentioned)
    strangers = [name for name in ours if name not in _NO_FLAGS and not _is_flag(name, verbs, load)]
    if not strangers:
        return ""
    known = [*_NO_FLAGS, *(name for verb in verbs for name in _variables(verb, load(verb)))]
    told = [_with_nearest(name, known) for name in strangers[:MOST_NAMED]]
    more = len(strangers) - len(told)
    return f"nothing reads {', '.join(told)}{f' and {more} more' if more else ''}"


def _with_nearest(name: str, known: Collection[str]) -> str:
    rests = [each.removeprefix(PREFIX) for each in known]
    near = difflib.get_close_matches(name.removeprefix(PREFIX)[:200], rests, n=1, cutoff=LIKENESS)
    return f"{name} (did you mean {PREFIX}{near[0]}?)" if near else name


def _is_flag(name: str, verbs: Collection[str], load: Load) -> bool:
    verb = name.removeprefix(PREFIX).partition("_")[0].lower()
    return verb in verbs and name in _variables(verb, load(verb))


def _variables(verb: str, command: click.Command) -> Mapping[str, None]:
    names = [(option.name or "", *option.opts) for option in _options(command)]
    return {variable_of(verb, name): None for each in names for name in each if len(name) > 2}


def _options(command: click.Command) -> list[click.Option]:
    return [option for option in command.params if isinstance(option, click.Option)]
