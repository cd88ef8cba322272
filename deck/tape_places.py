"""Places on a tape as a person writes them, found on a cassette without playing it."""

from __future__ import annotations

from tickdeck.cassette.hearing import zero_of
from tickdeck.cassette.readable import Readable
from tickdeck.dialects import find
from tickdeck.mockserver.moments import parse_moment, position_of, zone_for


def offset_of(cassette: Readable, what: str, text: str) -> int:
    """The offset on the cassette of ``+90s`` (from the tape's zero), ``09:31:05`` or a timestamp; else `UsageError`."""
    survey = cassette.survey
    zero_ns = zero_of(survey)
    markets = [track.market for track in survey.tracks.values()]
    dialect, moment = find(cassette.header.dialect), parse_moment(what, text)
    position_ns = position_of(
        moment,
        zone=zone_for(moment, dialect.zone_of(markets[0] if markets else dialect.default_market)),
        zero_wall_ns=cassette.wall_ns(zero_ns),
        end_wall_ns=cassette.wall_ns(max(survey.last_offset_ns or 0, zero_ns)),
        position_at=lambda wall_ns: cassette.offset_of(wall_ns) - zero_ns,
    )
    return zero_ns + position_ns
