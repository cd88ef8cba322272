"""What a marker and a fixture say about one test: the cassette, and how it is played, recorded and judged."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tickdeck.cassette.errors import UsageError
from tickdeck.testing.tapes import Tape

FOLDER: Final = "cassettes"
"""Beside the test file."""

SUFFIX: Final = ".cassette"
LINES: Final = ".jsonl"
"""The lines of ``tickdeck pack``, used as they lie there."""

RECORD_FOR_S: Final = 30.0

_UPSTREAM: Final = ("upstream_http", "upstream_ws")
_UNIT_S: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NOT_IN_A_NAME: Final = re.compile(r"[^\w.\-\[\]]")

LONGEST_STEM: Final = 246
"""Bytes of a file's name, of which there may be 255, before its suffix."""


class Mode(enum.StrEnum):
    """What ``--tickdeck`` says."""

    PLAY = "play"
    RECORD_MISSING = "record-missing"
    RECORD = "record"
    RECORD_REST = "record-rest"


class Unplayed(enum.StrEnum):
    """What recorded REST answers that nobody asked for are."""

    IGNORE = "ignore"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Settings:
    """One test's. ``play`` are the options of `tickdeck.MockServer`, ``upstream`` those of a recording."""

    play: Mapping[str, Any] = field(default_factory=dict)
    on_unplayed: Unplayed = Unplayed.IGNORE
    strict: bool = True
    record_for_s: float = RECORD_FOR_S
    upstream: Mapping[str, str] = field(default_factory=dict)
    given: tuple[object, ...] = ()
    marked: Mapping[str, Any] = field(default_factory=dict)
    """What the marker says, as it stands there."""

    def marker_ignoring(self, rules: Sequence[str]) -> str:
        """The marker of this test, to be pasted, with these among what is left aside."""
        ignored = [*_all(self.marked.get("ignore", ())), *rules]
        words = {**self.marked, "ignore": ignored[0] if len(ignored) == 1 else ignored}
        written = [*map(_written, self.given), *(f"{name}={_written(word)}" for name, word in words.items())]
        return f"@pytest.mark.cassette({', '.join(written)})"


def _written(value: object) -> str:
    """A value as Python has it, in double quotes where it has any."""
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_written(name)}: {_written(each)}' for name, each in value.items())}}}"
    return repr(value) if isinstance(value, int | float | bytes | None) else "..."


def settings_of(
    options: Mapping[str, Any], marked: Mapping[str, Any], *, given: Iterable[object] = ()
) -> Settings:
    """From the fixture ``market_options`` and the marker, which says more; UsageError for what makes no sense."""
    words: dict[str, Any] = {"speed": "max", **options, **marked, **_added_up(options, marked)}
    upstream: dict[str, str] = {each: words.pop(each) for each in _UPSTREAM if each in words}
    unplayed = words.pop("on_unplayed", Unplayed.IGNORE)
    if unplayed not in list(Unplayed):
        raise UsageError(f"on_unplayed is none of {', '.join(Unplayed)}: {unplayed!r}")
    strict = words.pop("strict", True)
    if not isinstance(strict, bool):
        raise UsageError(f"strict must be True or False, not {strict!r}")
    return Settings(
        on_unplayed=Unplayed(unplayed),
        strict=strict,
        record_for_s=_seconds(words.pop("record_for", RECORD_FOR_S)),
        upstream=upstream,
        play=words,
        given=tuple(given),
        marked=marked,
    )


def _added_up(options: Mapping[str, Any], marked: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What the marker leaves aside, or wants equal, comes to what the fixture does."""
    return {
        name: [*_all(options[name]), *_all(marked[name])]
        for name in ("ignore", "match")
        if name in options and name in marked
    }


def _all(said: object) -> list[Any]:
    return [said] if isinstance(said, str) or not isinstance(said, Iterable) else list(said)


def _seconds(given: object) -> float:
    """``60``, ``"60s"`` or ``"1.5m"``."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", str(given))
    if found is None or float(found[1]) == 0:
        raise UsageError(f"record_for is a duration such as 60s, not {given!r}")
    return float(found[1]) * _UNIT_S[found[2]]


@dataclass(frozen=True, slots=True)
class Meant:
    """The cassettes that a test means: one tape. ``home`` is the one that a recording would make."""

    paths: tuple[Path | Tape, ...]
    home: Path | None

    @property
    def missing(self) -> list[Path]:
        """Those that are not there."""
        return [path for path in self.paths if isinstance(path, Path) and not path.exists()]


def meant(test_file: Path, names: Sequence[str], given: Iterable[object]) -> Meant:
    """Named in the marker, or by the test itself: ``names`` are what it may be called, the most exact one first."""
    folder = test_file.parent / FOLDER
    paths = tuple(
        each if isinstance(each, Tape) else _found(folder, test_file.parent, each) for each in given
    )
    if not paths:
        exact = [folder / f"{stem_of(name)}{suffix}" for name in names for suffix in (SUFFIX, LINES)]
        paths = (next((path for path in exact if path.exists()), exact[0]),)
    only = paths[0] if len(paths) == 1 else None
    home = only if isinstance(only, Path) and only.suffix != LINES else None
    return Meant(paths, home)


def stem_of(name: str) -> str:
    """The name of a test as that of a file: no two tests have the same.

    What is no letter, digit, dot, dash or bracket is percent-encoded, as in a URL; an overlong name ends with
    the digest of all of it, behind a percent sign that stands for no letter.
    """
    stem = _NOT_IN_A_NAME.sub(_encoded, name)
    if len(stem.encode()) <= LONGEST_STEM:
        return stem
    end = f"%~{sha256(stem.encode()).hexdigest()[:16]}"
    return stem.encode()[: LONGEST_STEM - len(end)].decode(errors="ignore") + end


def _encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def old_stem_of(name: str) -> str:
    """What the cassette of a test was called when ``BRK/A`` and ``BRK-A`` were one name."""
    return re.sub(r"[^\w.\-\[\]]+", "-", name)


def _found(folder: Path, beside: Path, given: object) -> Path:
    if not isinstance(given, str | Path):
        raise UsageError(f"the marker cassette takes paths and tapes, not {given!r}")
    path = Path(given)
    places = [path] if path.is_absolute() else [folder / path, beside / path]
    return next((place for place in places if place.exists()), places[0])
