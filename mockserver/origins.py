"""Addresses become ours here as they do while recording; see `tickdeck.dialects.origins`."""

from __future__ import annotations

from tickdeck.dialects.origins import Origins

__all__ = ["Origins"]
