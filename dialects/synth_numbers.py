"""Decimal numbers as text, by integer arithmetic.

Synthetic data must be the same bytes everywhere, so no float is ever printed. A
price is an integer of ten-thousandths of a dollar (a *pip* here), a share count an
integer of millionths.
"""

from __future__ import annotations

from typing import Final

PIPS: Final = 10_000
MICROS: Final = 1_000_000


def shortest(units: int, places: int) -> str:
    """As JSON numbers come on the wire: ``1141700, 4`` is ``114.17``, ``3000000, 4`` is ``300``."""
    return _decimal(units, places, least=0)


def with_point(units: int, places: int) -> str:
    """As decimal strings come on the wire, with one place at least: ``40000000, 6`` is ``40.0``."""
    return _decimal(units, places, least=1)


def price(pips: int) -> str:
    """A price or an average of prices."""
    return _decimal(pips, 4, least=0)


def ratio(units: int, by: int) -> int:
    """``units / by`` to the nearest integer, halves up."""
    return (2 * units + by) // (2 * by)


def _decimal(units: int, places: int, *, least: int) -> str:
    sign = "-" if units < 0 else ""
    whole, part = divmod(abs(units), 10**places)
    fraction = f"{part:0{places}d}".rstrip("0").ljust(least, "0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
