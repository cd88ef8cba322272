from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.options import OptionWords, options_of
from tickdeck.mockserver.wordkinds import KINDS, MAY_BE_NONE

ONE_OF_A_FEW = {"speed", "timeline", "on_return", "at_end", "gaps", "repeats", "slow_client", "event_loop"}


def test_every_option_has_a_kind_or_is_one_of_a_few_words() -> None:
    assert KINDS.keys() | ONE_OF_A_FEW == OptionWords.__annotations__.keys()
    assert KINDS.keys().isdisjoint(ONE_OF_A_FEW)
    assert KINDS.keys() >= MAY_BE_NONE


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"settle": "50ms"}, "settle wants a number of seconds, not '50ms'"),
        ({"settle": None}, "settle wants a number of seconds, not None"),
        ({"auth_timeout": True}, "auth timeout wants a number of seconds, not True"),
        ({"idle_cap": "2s"}, "idle cap wants a number of seconds, not '2s'"),
        ({"port": "80"}, "port wants a whole number, not '80'"),
        ({"port": 1.5}, "port wants a whole number, not 1.5"),
        ({"max_connections": "3"}, "max connections wants a whole number, not '3'"),
        ({"stubs": ["GET /a"]}, r"stubs wants a mapping of 'GET /path' to a file .*, not \['GET /a'\]"),
        ({"stubs": {"GET /a": 5}}, "stubs wants a mapping"),
        ({"stubs": {5: b""}}, "stubs wants a mapping"),
        ({"keys": 5}, "keys wants a text, or a list of texts, not 5"),
        ({"keys": b"abc"}, "keys wants a text, or a list of texts, not b'abc'"),
        ({"start_on": 5}, "start on wants a text, or a list of texts, not 5"),
        ({"start_on": [5]}, "start on must be texts"),
        ({"begin": 5}, "begin wants a text, not 5"),
        ({"time_shift": 5}, "time shift wants a text, not 5"),
        ({"host": None}, "host wants a text, not None"),
        ({"tls": "yes"}, "tls wants True or False, not 'yes'"),
        ({"tls_cert": 5, "tls_key": 4}, "tls cert wants the path of a file, not 5"),
        ({"journal": 5}, "journal wants the path of a file, not 5"),
        ({"not_entitled": ["bogus"]}, r"not entitled wants channels like T.AAPL or Q.\*, not 'bogus'"),
        ({"not_entitled": "T.,Q.*"}, r"not entitled wants channels like T.AAPL or Q.\*, not 'T.'"),
    ],
)
def test_a_value_of_another_kind_is_one_sentence(words: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        options_of(**words)


def test_what_is_of_the_kind_arrives(tmp_path: Path) -> None:
    options = options_of(
        settle=0,
        port=80,
        keys=(name for name in ("a", "b")),
        not_entitled=" Q.* , T.A ",
        journal=tmp_path / "run",
    )
    assert (options.settle_ns, options.port, options.good_keys) == (0, 80, frozenset("ab"))
    assert (options.not_entitled, options.journal) == (("Q.*", "T.A"), tmp_path / "run")


@pytest.mark.parametrize("name", sorted(MAY_BE_NONE))
def test_what_may_be_left_out_may_be_none(name: str) -> None:
    words: Any = {name: None}
    assert options_of(**words) == options_of()
