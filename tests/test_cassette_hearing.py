from __future__ import annotations

from tickdeck.cassette.hearing import heard_ns, outages, zero_of
from tickdeck.cassette.records import Gap
from tickdeck.cassette.survey import ChannelSummary, HoldingChange, Survey, TrackSummary


def track(number: int, *, opened: int, heard: int | None = None, closed: int | None = None) -> TrackSummary:
    channels = {} if heard is None else {"T.A": ChannelSummary(1, heard, heard, heard, heard)}
    return TrackSummary(number, "stocks", "socket", "", opened, opened, closed, closed, channels=channels)


def survey(*tracks: TrackSummary, gaps: list[Gap] | None = None) -> Survey:
    return Survey(1, 99, 7, 99, tracks={each.track: each for each in tracks}, gaps=gaps or [])


def test_the_zero_is_the_earliest_data_or_subscription_else_the_first_record() -> None:
    quiet = track(0, opened=10)
    quiet.holdings += [HoldingChange(11, 11, "T.A", False), HoldingChange(30, 30, "T.A", True)]
    assert zero_of(survey(quiet, track(1, opened=12, heard=20))) == 20
    assert zero_of(survey(quiet)) == 30
    assert zero_of(survey(track(0, opened=10))) == 7
    assert zero_of(Survey()) == 0


def test_a_track_is_heard_from_its_opening_if_nothing_came() -> None:
    assert heard_ns(track(0, opened=10)) == 10
    assert heard_ns(track(0, opened=10, heard=15)) == 15


def test_a_loss_lasts_until_the_market_is_heard_again() -> None:
    tracks = [track(0, opened=0, heard=1, closed=20), track(1, opened=30, heard=45)]
    assert outages(survey(*tracks), "stocks", tracks) == [Gap(20, 20, 45, "stocks", "connection lost")]


def test_a_loss_that_another_track_covers_or_nobody_follows_is_none() -> None:
    covered = [track(0, opened=0, closed=20), track(1, opened=10, heard=15)]
    assert outages(survey(*covered), "stocks", covered) == []
    last = [track(0, opened=0, closed=20)]
    assert outages(survey(*last), "stocks", last) == []


def test_what_was_written_down_stands() -> None:
    tracks = [track(0, opened=0, closed=20), track(1, opened=30, heard=45)]
    gaps = [Gap(9, 60, 70, "stocks", "late"), Gap(8, 50, 55, "stocks", "early"), Gap(7, 0, 5, "fx", "other")]
    assert outages(survey(*tracks, gaps=gaps), "stocks", tracks) == [gaps[1], gaps[0]]
