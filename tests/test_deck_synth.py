"""`tickdeck synth`: the same seed, the same bytes."""

import pytest

from tickdeck import cli
from tickdeck.cassette.files import open_cassette, verify_file


def synth(output, *arguments):
    return cli.main(["synth", "-o", str(output), "--symbols", "3", "--for", "2s", "--rate", "50", *arguments])


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path, capsys):
    first, second, third = (tmp_path / f"{name}.cassette" for name in "abc")
    assert [synth(first, "--seed", "1"), synth(second, "--seed", "1"), synth(third, "--seed", "2")] == [
        0,
        0,
        0,
    ]
    assert first.read_bytes() == second.read_bytes() != third.read_bytes()
    assert "a.cassette: " in capsys.readouterr().err


def test_it_is_sound_sealed_as_synthetic_and_as_large_as_asked_for(tmp_path):
    output = tmp_path / "market.cassette"
    assert synth(output) == 0
    assert verify_file(output).ok
    with open_cassette(output) as cassette:
        assert cassette.header.source == "synthetic"
        assert cassette.header.tool.startswith("tickdeck ")
        assert sum(track.events for track in cassette.survey.tracks.values()) >= 100


def test_it_replaces_nothing_unless_asked(tmp_path, capsys):
    output = tmp_path / "market.cassette"
    output.write_bytes(b"precious")
    assert synth(output) == 2
    assert output.read_bytes() == b"precious"
    assert synth(output, "--force") == 0


@pytest.mark.parametrize("length", ["0s", "1.5s", "500ms"])
def test_half_seconds_are_refused(tmp_path, capsys, length):
    assert cli.main(["synth", "-o", str(tmp_path / "x.cassette"), "--for", length]) == 2
    assert "--for should be whole seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("--symbols", "50001", "'--symbols': 50001 is not in the range 1<=x<=50000"),
        ("--symbols", "9" * 30, "is not in the range 1<=x<=50000"),
        ("--rate", "1000001", "'--rate': 1000001 is not in the range 1<=x<=1000000"),
        ("--for", "24h1s", "--for should be whole seconds, at least 1s and at most 24h"),
        ("--for", "9" * 30, "--for should be whole seconds, at least 1s and at most 24h"),
    ],
)
def test_what_would_fill_the_memory_or_the_disk_is_refused(tmp_path, capsys, flag, value, sentence):
    assert cli.main(["synth", "-o", str(tmp_path / "x.cassette"), flag, value]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_too_large_only_in_all_is_refused_as_well(tmp_path, capsys):
    arguments = ["synth", "-o", str(tmp_path / "x.cassette"), "--rate", "1000000", "--for", "1001s"]
    assert cli.main(arguments) == 2
    assert "1,001,000,000 events; a market has at most 1,000,000,000" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_limits_are_in_the_help(capsys):
    assert cli.main(["synth", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for said in ("x<=50000", "x<=1000000", "at most 24h", "at most 1,000,000,000 events"):
        assert said in words
