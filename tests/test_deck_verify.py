"""`tickdeck verify` and `tickdeck recover`: soundness, and what is left without it."""

import json

import pytest

from tickdeck import cli
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import glimpse, market, market_header


@pytest.fixture
def cassette(tmp_path):
    path = tmp_path / "glimpse.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


@pytest.fixture(scope="module")
def long_cassette(tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "market.cassette"
    make_cassette(path, market_header(7), market(7, symbols=20, seconds=4, rate=2_000), replace=False)
    return path


def run(*arguments):
    return cli.main([str(each) for each in arguments])


def test_a_sound_cassette_is_said_to_be_sound(cassette, capsys):
    assert run("verify", cassette) == 0
    assert capsys.readouterr().out.startswith("glimpse.cassette: sound: 1 chunk, ")


def test_one_flipped_byte_is_one_finding_and_exit_code_3(cassette, capsys):
    data = bytearray(cassette.read_bytes())
    data[len(data) // 2] ^= 1
    cassette.write_bytes(data)
    assert run("verify", cassette) == 3
    finding, verdict = capsys.readouterr().out.splitlines()
    assert "damaged at byte" in finding
    assert verdict.startswith("glimpse.cassette: 1 finding: ")


def test_the_line_carries_the_findings(cassette, capsys):
    cassette.write_bytes(cassette.read_bytes()[:-3])
    assert run("verify", cassette, "--json") == 3
    line = json.loads(capsys.readouterr().out)
    assert (line["kind"], line["ok"], line["sealed"]) == ("verify", False, False)
    assert "damaged at byte" in line["findings"][0]["sentence"]


def test_what_lost_only_its_end_is_recovered_whole_but_says_that_more_may_have_been(
    cassette, tmp_path, capsys
):
    cassette.write_bytes(cassette.read_bytes()[:-3])
    saved = tmp_path / "saved.cassette"
    assert run("recover", cassette, "-o", saved) == 0
    assert "nothing lost" in capsys.readouterr().out
    assert run("verify", saved) == 0


def test_a_loss_is_told_in_records_and_time_and_is_exit_code_3(long_cassette, tmp_path, capsys):
    data = bytearray(long_cassette.read_bytes())
    data[len(data) // 2] ^= 1
    broken, saved = tmp_path / "broken.cassette", tmp_path / "saved.cassette"
    broken.write_bytes(data)
    assert run("recover", broken, "-o", saved) == 3
    said = capsys.readouterr().out
    assert "broken.cassette: damaged at byte" in said
    assert "lost at most" in said
    assert " between +" in said
    assert run("verify", saved) == 0


def test_the_line_of_a_recovery_counts_what_is_lost(long_cassette, tmp_path, capsys):
    data = bytearray(long_cassette.read_bytes())
    data[len(data) // 2] ^= 1
    broken = tmp_path / "broken.cassette"
    broken.write_bytes(data)
    assert run("recover", broken, "-o", tmp_path / "saved.cassette", "--json") == 3
    line = json.loads(capsys.readouterr().out)
    assert (line["kind"], line["lossless"]) == ("recover", False)
    assert line["lost_records"] > 0


def test_recover_replaces_nothing(cassette, capsys):
    assert run("recover", cassette, "-o", cassette) == 2
    assert "exists already" in capsys.readouterr().err


def test_nothing_to_recover_is_one_sentence(tmp_path, capsys):
    odd = tmp_path / "odd.cassette"
    odd.write_bytes(b"nothing of the kind")
    assert run("recover", odd, "-o", tmp_path / "saved.cassette") == 3
    assert capsys.readouterr().err.count("\n") == 1
