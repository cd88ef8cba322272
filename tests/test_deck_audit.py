"""`tickdeck audit`: findings, never shown whole, and what may be shared."""

import json

import pytest

from tickdeck import cli
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.records import TEXT, Frame, Header, Sender, Source, TrackOpened
from tickdeck.dialects.synth import glimpse

SECRET = "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"
WORD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch):
    for name in ("MASSIVE_API_KEY", "POLYGON_API_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clean(tmp_path):
    path = tmp_path / "clean.cassette"
    make_cassette(path, *glimpse(7), replace=False)
    return path


@pytest.fixture
def leaking(tmp_path):
    """What a recorder that redacts nothing would have written."""
    path = tmp_path / "leaking.cassette"
    records = [
        TrackOpened(seq=0, offset_ns=0, track=1, market="stocks"),
        Frame(1, 0, 1, Sender.SERVER, TEXT, f'[{{"ev":"status","message":"{SECRET} or {WORD}"}}]'.encode()),
    ]
    make_cassette(path, Header(epoch_ns=0, source=Source.RECORDED), records, replace=False)
    return path


def test_a_clean_cassette_has_no_findings(clean, capsys):
    assert cli.main(["audit", str(clean), "--for-sharing"]) == 0
    assert capsys.readouterr().out == "clean.cassette: 0 findings; 0 known secrets looked for\n"


def test_a_token_in_the_shape_of_a_key_is_found_and_not_shown(leaking, capsys):
    assert cli.main(["audit", str(leaking)]) == 1
    said = capsys.readouterr().out
    assert "record 1 (frame), payload, byte 27: a token in the shape of a key, Aq7Z…" in said
    assert SECRET not in said


def test_a_known_secret_is_found_wherever_it_is(leaking, monkeypatch, capsys):
    monkeypatch.setenv("MY_SECRET", WORD)
    assert cli.main(["audit", str(leaking), "--secret-env", "MY_SECRET"]) == 1
    said = capsys.readouterr().out
    assert "a known secret, corr…" in said
    assert WORD not in said


def test_what_the_usual_variables_hold_is_known(leaking, monkeypatch, capsys):
    monkeypatch.setenv("APCA_API_SECRET_KEY", WORD)
    assert cli.main(["audit", str(leaking)]) == 1
    assert "1 known secret looked for" in capsys.readouterr().out


def test_vendor_data_is_not_for_sharing(leaking, capsys):
    assert cli.main(["audit", str(leaking), "--for-sharing"]) == 1
    assert "vendor data, which may not be redistributed" in capsys.readouterr().out


def test_findings_are_lines_and_the_last_one_counts_them(leaking, capsys):
    assert cli.main(["audit", str(leaking), "--json"]) == 1
    *findings, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(line["kind"], line["record"], line["seq"]) for line in findings] == [("finding", "frame", 1)]
    assert (last["kind"], last["findings"]) == ("audit", 1)


def test_a_variable_that_is_not_there_is_named(clean, capsys):
    assert cli.main(["audit", str(clean), "--secret-env", "NOT_SET_ANYWHERE"]) == 2
    assert "--secret-env NOT_SET_ANYWHERE: there is no such variable" in capsys.readouterr().err
