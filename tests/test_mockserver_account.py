"""The books of one client."""

from __future__ import annotations

from tickdeck.mockserver.account import MISSTEPS_KEPT, Account, Interval


def test_a_channel_is_wanted_from_one_cursor_up_to_another() -> None:
    account = Account()
    account.subscribed(["T.A", "T.B"], 3)
    account.unsubscribed(["T.A"], 7)
    assert account.intervals == [Interval("T.A", 3, 7), Interval("T.B", 3, None)]


def test_a_channel_that_comes_back_has_an_interval_of_its_own() -> None:
    account = Account()
    account.subscribed(["T.A"], 1)
    account.unsubscribed(["T.A"], 2)
    account.subscribed(["T.A"], 5)
    account.unsubscribed(["T.A"], 5)
    assert account.intervals == [Interval("T.A", 1, 2), Interval("T.A", 5, 5)]


def test_what_was_never_wanted_cannot_cease_to_be() -> None:
    account = Account()
    account.unsubscribed(["T.A"], 2)
    assert account.intervals == []


def test_missteps_beyond_a_thousand_are_counted_and_not_kept() -> None:
    account = Account()
    for number in range(MISSTEPS_KEPT + 2):
        account.misstep("malformed", str(number))
    assert account.missteps_made == 1002
    assert len(account.missteps) == 1000
    assert account.missteps[-1] == ("malformed", "999")


def test_the_books_of_two_clients_are_apart() -> None:
    one, two = Account(), Account()
    one.subscribed(["T.A"], 0)
    one.misstep("malformed", "{")
    assert two == Account()
