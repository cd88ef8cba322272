"""What is left aside where two things are compared: ``query:_``, ``header:User-Agent``, ``json:$.id``.

Names are patterns (``*``, ``?``, for parameters also ``[ab]``). A JSON path begins with
``$``, the whole body; ``.name``, ``['name']`` and ``[0]`` lead into it, ``.*`` and ``[*]`` to
every member, ``..name`` to members of that name at any depth. Of a form it is the names
of its fields: ``json:$.nonce``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.targets import quote

_STEP: Final = re.compile(
    r"(?P<deep>\.\.)?(?:(?(deep)|\.)(?P<name>[^.\[\]]+)|\[(?P<index>[0-9]+|\*)\]|\['(?P<quoted>[^']*)'\])"
)
_GLOB: Final = re.compile(r"([*?\[])")


@dataclass(frozen=True, slots=True)
class Step:
    """One step into a JSON value: to the members that a pattern names, or (``name`` of ``None``) to elements.

    ``index`` of ``None`` is every element. A ``deep`` step may lie at any depth.
    """

    name: str | None
    index: int | None = None
    deep: bool = False

    def leads_to(self, key: str | int) -> bool:
        """Whether this member or element is meant."""
        if isinstance(key, str):
            return self.name is not None and fnmatchcase(key, self.name)
        return self.name == "*" or (self.name is None and self.index in (None, key))


@dataclass(frozen=True, slots=True)
class Ignored:
    """Parameters and header fields by pattern, and JSON paths, that take no part in a comparison."""

    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    json: tuple[tuple[Step, ...], ...] = ()
    given: tuple[str, ...] = ()
    """As they were written."""

    def has_parameter(self, name: str) -> bool:
        """Whether a query parameter is left aside, by its name decoded or as it can be printed."""
        return any(fnmatchcase(name, each) or fnmatchcase(quote(name), each) for each in self.query)

    def has_header(self, name: str) -> bool:
        """Whether a header field is left aside."""
        return any(fnmatchcase(name.lower(), each) for each in self.headers)


NOTHING: Final = Ignored()

CREDENTIALS: Final = frozenset(("authorization", "proxy-authorization", "cookie"))
"""Header fields that are never compared: what was recorded of them is redacted."""

_SECRET_ENDINGS: Final = ("-token", "-key", "-secret")


def parse_ignored(given: Iterable[str]) -> Ignored:
    """From ``KIND:NAME`` texts; `UsageError` for one that is none."""
    found: dict[str, list[str]] = {"query": [], "header": [], "json": []}
    texts = tuple(given)
    for text in texts:
        kind, colon, name = text.partition(":")
        if not colon or not name or kind not in found:
            raise UsageError(f"ignore wants query:NAME, header:NAME or json:PATH, not {text!r}")
        found[kind].append(name)
    return Ignored(
        query=tuple(found["query"]),
        headers=tuple(name.lower() for name in found["header"]),
        json=tuple(map(parse_path, found["json"])),
        given=texts,
    )


def parse_matched(given: Iterable[str]) -> tuple[str, ...]:
    """Patterns of header fields, in lower case, from ``header:NAME`` texts; `UsageError` for what is none."""
    names = []
    for text in given:
        kind, _, name = text.partition(":")
        if kind != "header" or not name:
            raise UsageError(
                f"match wants header:NAME, not {text!r}; method, path, query and body are equal anyway"
            )
        names.append(name.lower())
    refuse_secrets(names, CREDENTIALS)
    return tuple(names)


def refuse_secrets(matched: Iterable[str], secrets: frozenset[str]) -> None:
    """`UsageError` where a field that must be equal is one whose recorded value is redacted."""
    if found := sorted(name for name in matched if is_credential(name, secrets)):
        raise UsageError(
            f"match cannot have header:{found[0]}: credentials are redacted when they are recorded"
        )


def is_credential(header: str, secrets: frozenset[str]) -> bool:
    """Whether a header field (in lower case) is one of these, or says by its name that it holds a secret."""
    return header in CREDENTIALS or header in secrets or header.endswith(_SECRET_ENDINGS)


def parse_path(text: str) -> tuple[Step, ...]:
    """``$.orders[*].id`` as steps; `UsageError` for what is no path, or the whole body."""
    steps: list[Step] = []
    at = 1 if text.startswith("$") else len(text)
    while at < len(text):
        hit = _STEP.match(text, at)
        if hit is None:
            break
        steps.append(_step(hit))
        at = hit.end()
    if not steps or at < len(text):
        raise UsageError(f"{text!r} is no JSON path; write $.id, $.orders[*].id or $..id")
    return tuple(steps)


def _step(hit: re.Match[str]) -> Step:
    is_deep = hit["deep"] is not None
    if hit["index"] is not None:
        return Step(None, None if hit["index"] == "*" else int(hit["index"]), is_deep)
    if hit["quoted"] is not None:
        return Step(_GLOB.sub(r"[\1]", hit["quoted"]), deep=is_deep)
    return Step(hit["name"], deep=is_deep)


def parameter_rule(name: str) -> str:
    """What leaves a parameter aside: ``query:cursor``, printable, with its signs of patterns escaped."""
    return "query:" + _GLOB.sub(r"[\1]", quote(name))
