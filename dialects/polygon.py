"""The dialect of Polygon.io (Massive since 2025-10-30)."""

from __future__ import annotations

from typing import Final

from tickdeck.cassette.indexing import Indexer
from tickdeck.dialects.polygon_events import PolygonIndexer


class Polygon:
    """See `tickdeck.dialects.base.Dialect`."""

    name = "polygon"
    indexer: Indexer = PolygonIndexer()


POLYGON: Final = Polygon()
