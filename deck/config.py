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
from typing import TypeGuard

import click

from tickdeck.cassette.errors import UsageError


def defaults(verb: str, command: click.Command, *, known_verbs: Collection[str]) -> dict[str, object]:
    """What the working folder says for ``verb``, by parameter name; an unknown key is a `UsageError`."""
    where, table = _table(Path.cwd())
    _refuse_strangers(where, "a verb", table, known_verbs)
    section = table.get(verb, {})
    if not _is_table(section):
        raise UsageError(f"{where}: {verb} is {section!r}; it should be a table of flags")
    options = {
        flag.removeprefix("--"): option
        for option in command.params
        if isinstance(option, click.Option)
        for flag in option.opts + option.secondary_opts
        if flag.startswith("--")
    }
    _refuse_strangers(where, f"a flag of {verb}", section, options)
    return {str(options[key].name): _value(where, key, value, options[key]) for key, value in section.items()}


def _table(folder: Path) -> tuple[str, Mapping[str, object]]:
    own, shared = folder / "tickdeck.toml", folder / "pyproject.toml"
    if own.is_file():
        return own.name, _read(own)
    if not shared.is_file():
        return shared.name, {}
    tool = _read(shared).get("tool", {})
    table = tool.get("tickdeck", {}) if _is_table(tool) else {}
    if not _is_table(table):
        raise UsageError(f"pyproject.toml: tool.tickdeck is {table!r}; it should be a table of verbs")
    return shared.name, table


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: {str(error)[:1].lower()}{str(error)[1:]}") from error


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
        return [str(item) for item in value] if isinstance(value, list) else [str(value)]
    wanted = "true or false" if option.is_flag else "one value"
    if option.is_flag or isinstance(value, list | dict):
        raise UsageError(f"{where}: {key} is {value!r}; it should be {wanted}")
    return str(value)


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)
