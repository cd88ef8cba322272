"""Which cassette a test means, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.errors import UsageError
from tickdeck.testing.settings import LONGEST_STEM, meant, settings_of, stem_of
from tickdeck.testing.suite import run_of


@pytest.mark.parametrize(
    "name",
    ["test_it", "test_it[BRK-A]", "test_it[AAPL-1.5-True]", "test_it[]", "tést[ü]", "t" * LONGEST_STEM],
)
def test_the_name_of_an_ordinary_test_is_that_of_its_cassette(name: str) -> None:
    assert stem_of(name) == name


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("test_it[BRK/A]", "test_it[BRK%2FA]"),
        ("test_it[a b]", "test_it[a%20b]"),
        ("test_it[%2F]", "test_it[%252F]"),
        ("test_it[\\u20ac]", "test_it[%5Cu20ac]"),
        ("test_it[€]", "test_it[%E2%82%AC]"),
        ("test_it[\ud800]", "test_it[%ED%A0%80]"),
    ],
)
def test_what_cannot_stand_in_a_file_name_is_percent_encoded(name: str, stem: str) -> None:
    assert stem_of(name) == stem


NAMES = st.text(max_size=12) | st.text("AB-/% .:*?[]", max_size=6) | st.text("ab/", min_size=90, max_size=300)


@given(NAMES, NAMES)
def test_no_two_tests_share_a_cassette(one: str, other: str) -> None:
    assert (stem_of(one) == stem_of(other)) == (one == other)


@given(NAMES)
def test_every_name_fits_into_a_folder(name: str) -> None:
    stem = stem_of(name)
    assert len(stem.encode()) <= LONGEST_STEM
    assert "/" not in stem
    assert "\0" not in stem


def test_overlong_names_that_differ_at_their_ends_differ() -> None:
    assert stem_of("t" * 300 + "a") != stem_of("t" * 300 + "b")


def test_each_parameter_has_the_cassette_of_its_own_name_or_that_of_all(tmp_path: Path) -> None:
    (tmp_path / "cassettes").mkdir()
    (tmp_path / "cassettes" / "test_it[BRK-A].cassette").touch()

    def of(name: str) -> str:
        [path] = meant(tmp_path / "test_file.py", [name, "test_it"], ()).paths
        assert isinstance(path, Path)
        return path.name

    assert of("test_it[BRK-A]") == "test_it[BRK-A].cassette"
    assert of("test_it[BRK/A]") == "test_it[BRK%2FA].cassette"
    (tmp_path / "cassettes" / "test_it.cassette").touch()
    assert of("test_it[BRK/A]") == "test_it.cassette"


def test_a_cassette_under_the_name_that_it_once_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "cassettes").mkdir()
    (tmp_path / "cassettes" / "test_it[BRK-A].cassette").touch()

    def ask(name: str) -> str:
        with pytest.raises(UsageError) as caught:
            run_of(
                test_file=tmp_path / "test_file.py",
                node_id=f"test_file.py::{name}",
                names=[name, "test_it"],
                given=(),
                marked={},
                options={},
                mode="play",
                force=False,
                folder=None,
                is_async=False,
            )
        return str(caught.value)

    said = ask("test_it[BRK/A]")
    assert "; test_it[BRK-A].cassette may be it" in said
    assert "pytest 'test_file.py::test_it[BRK/A]' --tickdeck=record-missing" in said
    assert "may be it" not in ask("test_it[other]")
    assert "'test_file.py::test_it['\"'\"'a'\"'\"']'" in ask("test_it['a']")


@pytest.mark.parametrize("said", ["query:_", ["query:_"], ("query:_",)])
def test_what_a_marker_leaves_aside_comes_to_what_the_fixture_does(said: object) -> None:
    settings = settings_of(
        {"ignore": said, "match": "header:A"}, {"ignore": "query:a", "match": ["header:B"]}
    )
    assert settings.play["ignore"] == ["query:_", "query:a"]
    assert settings.play["match"] == ["header:A", "header:B"]
    assert settings.marker_ignoring(["query:b"]) == (
        '@pytest.mark.cassette(ignore=["query:a", "query:b"], match=["header:B"])'
    )
