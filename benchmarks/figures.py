"""What a measurement comes to: a spread of samples, a row of the table, a point of a curve."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some samples, and the lowest and highest of them."""

    median: float
    low: float
    high: float

    def says(self, unit: str) -> str:
        """``1.70 GB/s (1.61-1.75)``: all three at the scale of the median."""
        scale, prefix = _prefix(self.median)
        inner = "" if self.low == self.high else f" ({short(self.low / scale)}-{short(self.high / scale)})"
        return f"{short(self.median / scale)} {prefix}{unit}{inner}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    ``met`` is whether the goal is reached (``None``: there is none, or it was not
    measured); ``samples`` are the measurements behind it, by whose they are.
    """

    what: str
    figure: str
    peer: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve ``line`` in the chart ``chart``."""

    chart: str
    line: str
    x: float
    y: float


def spread(samples: Iterable[float]) -> Spread:
    """The spread of one sample at least."""
    ordered = sorted(samples)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def percentile(samples: Sequence[float], percent: float) -> float:
    """The sample that ``percent`` % of them do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


def rates(amount: float, seconds: Iterable[float]) -> list[float]:
    """``amount`` a second, for each duration."""
    return [amount / each for each in seconds]


def short(value: float) -> str:
    """Three significant digits, never an exponent: ``0.152``, ``15.2``, ``1,520``."""
    if value == 0:
        return "0"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{digits}f}"


def times(value: float) -> str:
    """``16.5x``."""
    return f"{short(value)}x"


def missing(what: str, why: str, *, goal: str = "") -> Row:
    """A row for what was not measured, with the reason."""
    return Row(what, f"not available: {why}", goal=goal)


def _prefix(value: float) -> tuple[float, str]:
    return next((pair for pair in PREFIXES if abs(value) >= pair[0]), (1.0, ""))
