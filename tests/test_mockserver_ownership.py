"""Who has a channel where several tracks hold it at once."""

from __future__ import annotations

from tickdeck.cassette.survey import ChannelSummary, HoldingChange, TrackSummary
from tickdeck.mockserver.ownership import NEVER, Ownership, end_seq


def track(number: int, opened: int, closed: int | None = None, *changes: tuple[int, str]) -> TrackSummary:
    """A track; a change is ``(3, "+T.A")`` or ``(5, "-T.A")``."""
    made = TrackSummary(number, "stocks", "socket", "", opened, opened, closed, closed)
    made.holdings = [HoldingChange(seq, seq, what[1:], what[0] == "+") for seq, what in changes]
    return made


def heard(made: TrackSummary, channel: str, first: int) -> TrackSummary:
    made.channels[channel] = ChannelSummary(1, first, first, first, first)
    return made


def test_alone_a_track_has_all_it_holds() -> None:
    ownership = Ownership([track(0, 0, 9, (1, "+T.A")), track(1, 10, None, (11, "+T.A"))])
    assert not ownership.contested
    assert list(ownership.excluded(0, "T.A")) == list(ownership.excluded(1, "T.A")) == []


def test_an_elder_has_a_channel_from_its_ack_until_it_lets_go_or_ends() -> None:
    elder = track(0, 0, 50, (2, "+T.A"), (2, "+T.A"), (20, "-T.A"), (21, "-T.A"), (30, "+T.A"))
    ownership = Ownership([track(1, 5), elder])
    assert ownership.contested
    assert list(ownership.excluded(1, "T.A")) == [(2, 20), (30, 50)]
    assert list(ownership.excluded(1, "T.B")) == []
    assert list(ownership.excluded(0, "T.A")) == []


def test_an_elders_wildcard_covers_every_symbol_and_itself_once() -> None:
    ownership = Ownership([track(0, 0, None, (3, "+T.*")), track(1, 1)])
    assert list(ownership.excluded(1, "T.BRK.B")) == [(3, NEVER)]
    assert list(ownership.excluded(1, "T.*")) == [(3, NEVER)]
    assert list(ownership.excluded(1, "Q.A")) == []


def test_where_nothing_was_acknowledged_a_channel_is_held_from_its_first_event() -> None:
    silent = heard(heard(track(0, 0, 40, (5, "+Q.*")), "T.A", 7), "Q.A", 3)
    ownership = Ownership([silent, track(1, 1)])
    assert list(ownership.excluded(1, "T.A")) == [(7, 40)]
    assert list(ownership.excluded(1, "Q.A")) == [(5, 40)]


def test_all_elders_count_and_the_dead_do_not() -> None:
    tracks = [track(0, 0, 10, (1, "+T.A")), track(1, 5, None, (6, "+T.A")), track(2, 20)]
    ownership = Ownership(tracks)
    assert list(ownership.excluded(1, "T.A")) == [(1, 10)]
    assert list(ownership.excluded(2, "T.A")) == [(6, NEVER)]
    assert end_seq(tracks[0]) == 10
