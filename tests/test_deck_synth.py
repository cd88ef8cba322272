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
