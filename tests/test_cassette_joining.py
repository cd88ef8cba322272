from __future__ import annotations

from tickdeck.cassette.joining import ended, joined_header, joined_survey
from tickdeck.cassette.records import Header, Sender, Source
from tickdeck.cassette.survey import ChannelSummary, Survey, TrackSummary


def test_the_source_is_the_one_that_allows_least() -> None:
    made, kept, masked = (Header(0, source=source) for source in (Source.SYNTHETIC, *list(Source)[::2]))
    assert kept.source is Source.RECORDED
    assert joined_header([made, masked]).source is Source.ANONYMISED
    assert joined_header([masked, kept, made]).source is Source.RECORDED


def test_the_profile_is_the_last_that_says_something() -> None:
    surveys = [Survey(profile={"greeting": "one"}), Survey(profile={"greeting": "two"}), Survey()]
    assert joined_survey(surveys).profile == {"greeting": "two"}


def test_redactions_are_counted_together() -> None:
    first = Survey(redactions={"REDACTED-1": {"query apiKey": 2}})
    second = Survey(redactions={"REDACTED-1": {"query apiKey": 3, "frame": 1}, "REDACTED-2": {"frame": 4}})
    assert joined_survey([first, second]).redactions == {
        "REDACTED-1": {"query apiKey": 5, "frame": 1},
        "REDACTED-2": {"frame": 4},
    }
    assert first.redactions == {"REDACTED-1": {"query apiKey": 2}}


def test_a_track_that_goes_on_in_the_next_segment_is_one_track() -> None:
    begun = TrackSummary(3, "stocks", "socket", "wss://a", 1, 10, frames=2, events=2, payload_bytes=20)
    begun.channels["T.A"] = ChannelSummary(2, 4, 40, 5, 50)
    gone_on = TrackSummary(3, "", "", "", 9, 90, 12, 120, Sender.SERVER, 1000, "bye", frames=3, events=1)
    gone_on.channels["T.A"] = ChannelSummary(1, 10, 100, 10, 100)
    (track,) = joined_survey([Survey(tracks={3: begun}), Survey(tracks={3: gone_on})]).tracks.values()
    assert (track.market, track.url, track.opened_seq, track.opened_ns) == ("stocks", "wss://a", 1, 10)
    assert (track.closed_seq, track.closed_by, track.close_reason) == (12, Sender.SERVER, "bye")
    assert (track.frames, track.events, track.payload_bytes) == (5, 3, 20)
    assert track.channels == {"T.A": ChannelSummary(3, 4, 40, 10, 100)}


def test_what_was_closed_already_keeps_its_end() -> None:
    closed = TrackSummary(0, "stocks", "", "", 0, 0, 5, 50, Sender.CLIENT, 1000)
    left_open = TrackSummary(1, "stocks", "", "", 1, 1)
    tracks = ended(Survey(tracks={0: closed, 1: left_open}), seq=9, offset_ns=90).tracks
    assert tracks[0] == closed
    assert (tracks[1].closed_seq, tracks[1].closed_ns, tracks[1].closed_by, tracks[1].close_code) == (
        9,
        90,
        None,
        1001,
    )
