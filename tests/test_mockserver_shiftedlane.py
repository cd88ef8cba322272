from __future__ import annotations

from tickdeck.cassette.chunks import in_full
from tickdeck.cassette.lanes import ChannelIds, LaneBuilder
from tickdeck.cassette.records import TEXT, Frame, Sender
from tickdeck.dialects.polygon_events import events
from tickdeck.mockserver.shiftedlane import ShiftedLane, as_recorded


def test_a_shifted_lane_has_other_bytes_and_the_columns_of_the_recorded_one() -> None:
    payload = b'[{"ev":"T","sym":"A","t":1577413831740}]'
    builder = LaneBuilder(3)
    builder.add(Frame(7, 70, 3, Sender.SERVER, TEXT, payload), events(payload) or (), ChannelIds())
    lane = builder.lane()
    shifted = ShiftedLane(lane, lane.wire.replace(b"1577413831740", b"1577417431740"))
    assert as_recorded(shifted) is as_recorded(lane) is lane
    assert shifted.wire.endswith(b'"t":1577417431740}]')
    assert in_full(ShiftedLane(lane, lane.wire)) == in_full(lane)
    assert (shifted.frames, shifted.event_rows, shifted.channel_ids) == (1, [0], [1])
