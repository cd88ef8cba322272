from __future__ import annotations

import importlib.util
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from tickdeck.cassette.files import open_cassette, verify_file
from tickdeck.cassette.records import Source

FIXTURES = Path(__file__).parent.parent / "fixtures"
NAMES = ["alpaca-2019-page.cassette", "first-minute.cassette", "minute-turns.cassette"]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_fixtures", FIXTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_cassette_here_is_one_that_the_script_makes(maker: ModuleType) -> None:
    assert sorted(path.name for path in FIXTURES.glob("*.cassette") if path.name in maker.FIXTURES) == NAMES
    assert sorted(maker.FIXTURES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_made_again_has_the_same_records(name: str, maker: ModuleType, tmp_path: Path) -> None:
    maker.make(name, tmp_path)
    with open_cassette(FIXTURES / name) as kept, open_cassette(tmp_path / name) as made:
        assert made.header == kept.header
        assert list(made.records()) == list(kept.records())
        assert made.survey == kept.survey


@pytest.mark.parametrize("name", NAMES)
def test_what_is_on_a_fixture_is_what_the_generator_said(name: str, maker: ModuleType) -> None:
    header, records = maker.FIXTURES[name]()
    with open_cassette(FIXTURES / name) as kept:
        assert kept.header == header
        assert list(kept.records()) == list(records)


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_is_sound_sealed_and_synthetic(name: str) -> None:
    assert not verify_file(FIXTURES / name).findings
    with open_cassette(FIXTURES / name) as cassette:
        assert cassette.sealed
        assert cassette.header.source is Source.SYNTHETIC


@pytest.mark.parametrize("name", NAMES)
def test_a_fixture_is_small(name: str) -> None:
    assert (FIXTURES / name).stat().st_size < 300_000


@pytest.mark.parametrize("name", ["first-minute.cassette", "minute-turns.cassette"])
def test_what_ships_with_the_package_is_the_same_file(name: str) -> None:
    assert files("tickdeck").joinpath("samples", name).read_bytes() == (FIXTURES / name).read_bytes()
