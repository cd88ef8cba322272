"""Numbers as Prometheus reads them: its text format, version 0.0.4.

The format is lines: ``# HELP`` and ``# TYPE`` once a family, then a sample a line. What
has to be right is little (which characters are escaped where, that the buckets of a
histogram add up and end with all of them), and the deck has its numbers already, where
they are counted. So it writes the lines by itself; a client library would keep all
numbers a second time, in a registry of the process.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tickdeck.watch.spans import Spans

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS_NS: Final = tuple(
    digit * 10**power for power in range(4, 10) for digit in (1, 2, 5) if digit * 10**power >= 50_000
)
"""Of a histogram's buckets: 50 µs to 5 s."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class Kind(enum.StrEnum):
    """What a family counts: what only rises, what goes up and down, or how long things took."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number; ``suffix`` stands behind the name of its family."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one name. ValueError for a name that says no unit where it must: a counter ends in ``_total``."""

    name: str
    kind: Kind
    meaning: str
    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.endswith("_total") is not (self.kind is Kind.COUNTER):
            raise ValueError(f"{self.name!r} is no name of a {self.kind}")


def counter(name: str, meaning: str, value: float | Mapping[str, float], *, label: str = "") -> Family:
    """What only rises; a mapping has a number for each value of ``label``."""
    return Family(name, Kind.COUNTER, meaning, _samples(value, label))


def gauge(name: str, meaning: str, value: float | Mapping[str, float], *, label: str = "") -> Family:
    """What goes up and down; a mapping has a number for each value of ``label``."""
    return Family(name, Kind.GAUGE, meaning, _samples(value, label))


def histogram(name: str, meaning: str, spans: Spans | Mapping[str, Spans], *, label: str = "") -> Family:
    """How long things took, in seconds; a mapping has spans for each value of ``label``."""
    if isinstance(spans, Spans):
        return Family(name, Kind.HISTOGRAM, meaning, tuple(_buckets(spans, {})))
    samples = [each for value, one in spans.items() for each in _buckets(one, {label: value})]
    return Family(name, Kind.HISTOGRAM, meaning, tuple(samples))


def exposition(families: Iterable[Family]) -> str:
    """The whole text; a family without samples is left out."""
    return "".join(f"{line}\n" for family in families if family.samples for line in _lines(family))


def _samples(value: float | Mapping[str, float], label: str) -> tuple[Sample, ...]:
    if isinstance(value, Mapping):
        return tuple(Sample(each, {label: name}) for name, each in value.items())
    return (Sample(value),)


def _buckets(spans: Spans, labels: Mapping[str, str]) -> Iterator[Sample]:
    for bound_ns, count in zip(BOUNDS_NS, spans.at_most(BOUNDS_NS), strict=True):
        yield Sample(count, {**labels, "le": _number(bound_ns / 1e9)}, "_bucket")
    yield Sample(spans.count, {**labels, "le": "+Inf"}, "_bucket")
    yield Sample(spans.sum_ns / 1e9, labels, "_sum")
    yield Sample(spans.count, labels, "_count")


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.meaning)}"
    yield f"# TYPE {family.name} {family.kind}"
    for each in family.samples:
        labels = ",".join(f'{name}="{_quoted(value)}"' for name, value in each.labels.items())
        yield (
            f"{family.name}{each.suffix}{{{labels}}} {_number(each.value)}"
            if labels
            else (f"{family.name}{each.suffix} {_number(each.value)}")
        )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    """A label's value: half a character, which UTF-8 has none of, becomes a question mark."""
    return _escaped(text).replace('"', '\\"').encode("utf-8", "replace").decode()


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)
