"""Curves as SVG, without a library: ``python benchmarks/plot.py FIGURES.json docs/performance.svg``.

One panel a chart, both axes logarithmic and in whole decades on the left, so that a flat line looks flat and a
factor looks the same everywhere. Colours follow the reader's scheme, light or dark.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from figures import Point, short

CHARTS = {
    "clients": ("Cost of a delivered frame, by clients", "clients"),
    "size": ("Cost of a frame, by size of the tape", "MB of tape"),
}
"""By chart its title and the name of its x axis; the y axis is microseconds."""

UNIT = "µs of processor time a frame"
WIDTH, HEIGHT = 440, 330
LEFT, RIGHT, TOP, BOTTOM, ROOM = 62, 24, 78, 50, 14

LIGHT = {
    "page": "#ffffff",
    "ink": "#1f2328",
    "faint": "#59636e",
    "grid": "#d9dee3",
    "0": "#0757b8",
    "1": "#b3470b",
}
DARK = {
    "page": "#0d1117",
    "ink": "#e6edf3",
    "faint": "#9aa4af",
    "grid": "#2b323b",
    "0": "#6cb0ff",
    "1": "#ffa264",
}


def _colours(scheme: Mapping[str, str]) -> str:
    """Written out, not as variables: not every viewer of SVG knows these."""
    strokes = "".join(f" .line{n} {{ stroke: {scheme[n]} }} .dot{n} {{ fill: {scheme[n]} }}" for n in "01")
    return (
        f".page {{ fill: {scheme['page']} }} text {{ fill: {scheme['faint']} }}"
        f" .title, .value {{ fill: {scheme['ink']} }} .grid {{ stroke: {scheme['grid']} }}{strokes}"
    )


STYLE = f"""
  text {{ font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }}
  .title {{ font-size: 14px; font-weight: 600 }} .value {{ font-size: 11px }}
  .end {{ text-anchor: end }} .middle {{ text-anchor: middle }}
  .line0, .line1 {{ fill: none; stroke-width: 2.2; stroke-linejoin: round }} .line1 {{ stroke-dasharray: 7 4 }}
  {_colours(LIGHT)}
  @media (prefers-color-scheme: dark) {{ {_colours(DARK)} }}
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value lies."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def decades(values: Iterable[float]) -> tuple[float, float]:
    """The powers of ten around some values; never the same twice."""
    kept = list(values)
    low, high = math.floor(math.log10(min(kept))), math.ceil(math.log10(max(kept)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade, or its 1 alone where there are more than two."""
    exponents = range(round(math.log10(low)), round(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(exponents) <= 3 else (1,)
    made = (step * 10.0**exponent for exponent in exponents for step in steps)
    return [value for value in made if value <= high * 1.001]


def drawing(points: Sequence[Point]) -> str:
    """All charts of which there are points, side by side."""
    charts = [name for name in CHARTS if any(point.chart == name for point in points)]
    panels = "".join(
        f'<g transform="translate({number * WIDTH} 0)">{_panel(name, points)}</g>\n'
        for number, name in enumerate(charts)
    )
    width = WIDTH * max(len(charts), 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}"'
        f' role="img" aria-label="{UNIT}">\n<style>{STYLE}</style>\n'
        f'<rect class="page" width="{width}" height="{HEIGHT}"/>\n{panels}</svg>\n'
    )


def _panel(chart: str, points: Sequence[Point]) -> str:
    shown = [point for point in points if point.chart == chart]
    lines: dict[str, list[Point]] = {point.line: [] for point in shown}
    for point in shown:
        lines[point.line].append(point)
    low, high = decades(point.y for point in shown)
    xs = sorted({point.x for point in shown})
    across = Axis(xs[0], max(xs[-1], 2 * xs[0]), LEFT + 14, WIDTH - RIGHT - 14)
    up = Axis(low, high, HEIGHT - BOTTOM - ROOM, TOP)
    title, below = CHARTS[chart]
    parts = [
        _text(LEFT, 22, title, "title"),
        _text(LEFT, 62, UNIT),
        *(_level(up.at(value), f"{value:,g}") for value in ticks(low, high)),
        *(_text(across.at(x), HEIGHT - BOTTOM + 18, f"{x:,.0f}", "middle") for x in xs),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, below, "middle"),
    ]
    legend = LEFT
    highest = max(lines, key=lambda name: lines[name][-1].y)
    for number, (name, line) in enumerate(lines.items()):
        curve = _curve(line, across, up, number, above=name == highest)
        parts += [_legend(legend, name, number), curve]
        legend += 50 + 7 * len(name)
    return "\n".join(parts)


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def _level(y: float, words: str) -> str:
    rule = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return rule + _text(LEFT - 8, y + 4, words, "end")


def _legend(x: float, name: str, number: int) -> str:
    return f'<path class="line{number}" d="M{x} 40h26"/>' + _text(x + 32, 44, name)


def _curve(line: Sequence[Point], across: Axis, up: Axis, number: int, *, above: bool) -> str:
    places = [(across.at(point.x), up.at(point.y)) for point in line]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = "".join(f'<circle class="dot{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places)
    values = "".join(
        _text(x, y - 9 if above else y + 18, short(point.y), "value middle")
        for (x, y), point in zip(places, line, strict=True)
    )
    return f'<path class="line{number}" d="{path}"/>{dots}{values}'


def main() -> None:
    """Draw what `run.py --json` wrote."""
    source, target = map(Path, sys.argv[1:])
    points = [Point(**point) for point in json.loads(source.read_text(encoding="utf-8"))["points"]]
    target.write_text(drawing(points), encoding="utf-8")


if __name__ == "__main__":
    main()
