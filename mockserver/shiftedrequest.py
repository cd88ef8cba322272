"""A request of a client that lives at another time, as it would have been asked on the recorded day."""

from __future__ import annotations

from dataclasses import replace

from tickdeck.dialects.base import Mover
from tickdeck.mockserver.asked import Asked
from tickdeck.mockserver.targets import decode_pairs, quote, segments, show_path


def moved_back(asked: Asked, mover: Mover) -> Asked:
    """The same request with its moments moved back; the very same, if it names none."""
    path, query = segments(asked.path), decode_pairs(asked.query)
    back_path, back_query = mover.asked_back(path, query)
    if (back_path, back_query) == (path, query):
        return asked
    pairs = tuple((quote(name), quote(value)) for name, value in back_query)
    return replace(asked, path=show_path(back_path), query=pairs)
