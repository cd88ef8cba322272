"""`tickdeck info`: what a cassette holds, in words and as a line."""

import json

import pytest

from tickdeck import cli
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.records import Gap, Header, Source
from tickdeck.dialects.synth import sample


@pytest.fixture(scope="module")
def cassette(tmp_path_factory):
    path = tmp_path_factory.mktemp("info") / "sample.cassette"
    make_cassette(path, *sample(7), replace=False)
    return path


def info(capsys, *arguments):
    assert cli.main(["info", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_page_names_source_span_tracks_channels_and_gaps(cassette, capsys):
    page = info(capsys, cassette)
    for words in (
        "sample.cassette: a cassette in the polygon dialect",
        "synthetic: made up: it may be shared",
        "https://api.massive.com, wss://socket.massive.com",
        "1 m 1 s, +0.000 s to +61.731 s",
        "2020-01-02 09:30:00.000 EST to 2020-01-02 09:31:01.731 EST",
        "lost without a close frame, by the server +33.402 s",
        "closed by the client, code 1000 +61.731 s",
        "and 8 more; --json lists all",
        "2.3 s  the connection was lost",
        "raw, 1 chunk",
    ):
        assert words in page


def test_the_line_lists_every_channel_busiest_first(cassette, capsys):
    line = json.loads(info(capsys, cassette, "--json"))
    assert (line["kind"], line["source"], line["sealed"]) == ("info", "synthetic", True)
    events = list(line["channels"].values())
    assert events == sorted(events, reverse=True)
    assert sum(events) == line["events"] == sum(track["events"] for track in line["tracks"])


def test_as_many_channels_as_asked_for(cassette, capsys):
    page = info(capsys, cassette, "--channels", "1")
    assert "Q.AAPL" in page
    assert "T.AAPL" not in page


def test_a_recording_reminds_of_the_licence(tmp_path, capsys):
    path = tmp_path / "recorded.cassette"
    make_cassette(path, Header(epoch_ns=0, source=Source.RECORDED), [], replace=False)
    page = info(capsys, path)
    assert "recorded: vendor data: it may not be redistributed" in page
    assert "span          empty" in page


def test_a_gap_of_a_market_that_never_closes_is_told_in_utc(tmp_path, capsys):
    path = tmp_path / "gap.cassette"
    gap = Gap(seq=0, offset_ns=10**9, end_ns=3 * 10**9, market="crypto", reason="no answer")
    make_cassette(path, Header(epoch_ns=0, source=Source.SYNTHETIC), [gap], replace=False)
    assert "crypto  +1.000 s (1970-01-01 00:00:01.000 UTC)  2.0 s  no answer" in info(capsys, path)


@pytest.mark.parametrize("content", [b"", b"not a cassette at all", bytes(100)])
def test_a_file_that_is_no_cassette_is_one_sentence_and_exit_code_3(tmp_path, capsys, content):
    path = tmp_path / "odd.cassette"
    path.write_bytes(content)
    assert cli.main(["info", str(path)]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tickdeck: odd.cassette: ")
    assert said.err.count("\n") == 1
