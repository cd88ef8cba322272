"""From what a test says to its market: played, or recorded where that is asked for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tickdeck.cassette.errors import UsageError
from tickdeck.gateway.variables import addresses, unproxied
from tickdeck.testing.recordings import RecordRun
from tickdeck.testing.runs import PlayRun
from tickdeck.testing.settings import Meant, Mode, Settings, meant, old_stem_of, settings_of, stem_of

KEY_VARIABLES: Final = ("MASSIVE_API_KEY", "POLYGON_API_KEY", "APCA_API_KEY_ID")
"""Where clients look for an API key; the first that is set is used while recording."""


def run_of(
    *,
    test_file: Path,
    node_id: str,
    names: Sequence[str],
    given: Iterable[object],
    marked: Mapping[str, Any],
    options: Mapping[str, Any],
    mode: str,
    force: bool,
    folder: Path | None,
    is_async: bool,
) -> PlayRun | RecordRun:
    """The market of one test, started. UsageError says what to do where there is no cassette."""
    settings = settings_of(options, marked, given=given)
    cassettes = meant(test_file, names, given)
    missing = cassettes.missing
    if mode == Mode.RECORD or mode == Mode.RECORD_REST or (mode == Mode.RECORD_MISSING and missing):
        return _recording(cassettes, settings, mode=Mode(mode), force=force, is_async=is_async)
    if missing:
        raise UsageError(_how_to_make(missing[0], node_id, cassettes) + _as_before(missing[0], names[0]))
    journal = None if folder is None else folder / "run.cassette"
    return PlayRun(cassettes.paths, settings, journal=journal, is_async=is_async)


def _recording(cassettes: Meant, settings: Settings, *, mode: Mode, force: bool, is_async: bool) -> RecordRun:
    if cassettes.home is None:
        raise UsageError(
            "only a test of one .cassette file can be recorded; this one means several, lines, or a tape made by hand"
        )
    return RecordRun(
        cassettes.home,
        settings,
        key=key_of_environment(),
        force=force,
        only_rest=mode is Mode.RECORD_REST,
        is_async=is_async,
    )


def key_of_environment() -> str:
    """The API key while recording; UsageError where there is none."""
    for name in KEY_VARIABLES:
        if key := os.environ.get(name):
            return key
    raise UsageError(
        f"recording needs an API key: set {', '.join(KEY_VARIABLES[:-1])} or {KEY_VARIABLES[-1]}"
    )


def _how_to_make(missing: Path, node_id: str, cassettes: Meant) -> str:
    sentence = f"there is no cassette {missing}"
    if cassettes.home is None:
        return sentence
    command = f"pytest {in_quotes(node_id)} --tickdeck=record-missing"
    return f"{sentence}; with a key in {KEY_VARIABLES[0]} this records it: {command}"


def in_quotes(text: str) -> str:
    """For a shell: always in quotes, because a test's name may have brackets."""
    return quoted if (quoted := shlex.quote(text)) != text else f"'{text}'"


def _as_before(missing: Path, name: str) -> str:
    """Where it lies under the name that it once had."""
    old = missing.with_name(f"{old_stem_of(name)}{missing.suffix}")
    if missing.stem != stem_of(name) or old == missing or not old.exists():
        return ""
    return f"; {old.name} may be it, under a name that other tests could have, too: rename it if so"


def variables_of(market: Any) -> dict[str, str]:
    """What known clients read: where the market is, that no proxy leads there, a key, and whom to trust."""
    found = {
        **addresses(http=market.http_url, ws=market.ws_url, feed=market.feed),
        **dict.fromkeys(KEY_VARIABLES, market.key),
        **unproxied(os.environ, market.feed.rpartition(":")[0].strip("[]")),
    }
    if market.ca_file is not None:
        trusted = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        found |= dict.fromkeys(trusted, str(market.ca_file))
    return found
