"""Defaults from the working folder: `tickdeck.toml`, or `[tool.tickdeck]` in pyproject.toml.

    [tool.tickdeck.play]
    speed = "10"
    reject-key = ["expired"]

Keys are the long flags of the verb. The command line and the environment go before.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from reprlib import repr as short
from typing import TypeGuard

import click

from tickdeck.cassette.errors import UsageError


def defaults(verb: str, command: click.Command, *, known_verbs: Collection[str]) -> dict[str, object]:
    """What the working folder says for ``verb``, by parameter name; an unknown key is a `UsageError`."""
    where, table = _table(Path.cwd())
    _refuse_strangers(where, "a verb", table, known_verbs)
    section = table.get(verb, {})
    if not _is_table(section):
        raise UsageError(f"{where}: {verb} is {short(section)}; it should be a table of flags")
    options = {
        flag.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option)
        for flag in option.opts + option.secondary_opts
        if flag.startswith("--")
    }
    _refuse_strangers(where, f"a flag of {verb}", section, options)
    return {str(options[key].name): _value(where, key, value, options[key]) for key, value in section.items()}


def added_up(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """What is said comes to what the settings have, in the place of going before it; for a click.option's callback."""
    settings = ctx.lookup_default(str(option.name)) or ()
    return tuple(dict.fromkeys((*settings, *given)))


def _table(folder: Path) -> tuple[str, Mapping[str, object]]:
    own, shared = folder / "tickdeck.toml", folder / "pyproject.toml"
    if own.is_file():
        return own.name, _read(own)
    if not shared.is_file():
        return shared.name, {}
    tool = _read(shared).get("tool", {})
    table = tool.get("tickdeck", {}) if _is_table(tool) else {}
    if not _is_table(table):
        raise UsageError(f"pyproject.toml: tool.tickdeck is {short(table)}; it should be a table of verbs")
    return shared.name, table


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise UsageError(f"{path.name}: {str(error)[:1].lower()}{str(error)[1:]}") from error
    except RecursionError:
        raise UsageError(f"{path.name}: its values are nested too deep; verbs are tables of flags") from None


def _refuse_strangers(where: str, what: str, found: Collection[str], known: Collection[str]) -> None:
    strangers = sorted(set(found) - set(known))
    if strangers:
        raise UsageError(
            f"{where}: {', '.join(strangers)} is not {what}; known are {', '.join(sorted(known))}"
        )


def _value(where: str, key: str, value: object, option: click.Option) -> object:
    if isinstance(value, bool):
        if not option.is_flag:
            raise UsageError(f"{where}: {key} wants a value, not {str(value).lower()}")
        return value
    if option.multiple:
        return [_text(where, key, item) for item in (value if isinstance(value, list) else [value])]
    if option.is_flag:
        raise UsageError(f"{where}: {key} is {short(value)}; it should be true or false")
    return _text(where, key, value)


def _text(where: str, key: str, value: object) -> str:
    if isinstance(value, list | dict):
        raise UsageError(f"{where}: {key} is {short(value)}; it should be one value")
    try:
        return str(value)
    except ValueError:
        raise UsageError(f"{where}: {key} is a number of too many digits") from None


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)
