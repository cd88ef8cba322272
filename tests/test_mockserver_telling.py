"""What goes into the journal, and the line it becomes."""

from __future__ import annotations

from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.telling import Line, Teller

ZERO_NS = 1_577_975_400_000_000_000
"""2020-01-02T14:30:00Z."""


def wall_ns(position_ns: int) -> int:
    return ZERO_NS + position_ns


def test_an_entry_is_kept_and_told() -> None:
    told: list[Line] = []
    teller = Teller(wall_ns, told.append)
    entry = Entry("connected", 5, client=3, parts={"market": "stocks"})
    teller.entry(entry)
    assert list(teller.journal.entries) == [entry]
    assert told == [{"kind": "connected", "client": 3, "market": "stocks"}]


def test_what_is_no_clients_doing_is_told_and_not_kept() -> None:
    told: list[Line] = []
    teller = Teller(wall_ns, told.append)
    teller.line("listening", http="http://127.0.0.1:1")
    assert told == [{"kind": "listening", "http": "http://127.0.0.1:1"}]
    assert not teller.journal.entries


def test_who_tells_nobody_keeps_all_the_same() -> None:
    teller = Teller(wall_ns, None)
    teller.line("listening")
    teller.entry(Entry("connected", 5))
    assert [entry.kind for entry in teller.journal.entries] == ["connected"]


def test_a_line_names_what_an_entry_knows_and_its_market_time() -> None:
    entry = Entry("started", 5, position_ns=1_234_567_899, cursor=9, client=1, timeline=2, parts={"run": 1})
    assert Teller(wall_ns, None).line_of(entry) == {
        "kind": "started",
        "client": 1,
        "timeline": 2,
        "position_ns": 1_234_567_899,
        "market_time": "2020-01-02T14:30:01.234567Z",
        "run": 1,
    }


def test_the_market_time_of_what_came_before_the_start_is_that_of_the_zero() -> None:
    assert Teller(wall_ns, None).market_time(-1) == "2020-01-02T14:30:00.000000Z"
