"""Who may drive the deck, by what a request says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tickdeck.watch.gate import Caller, Gate, Refused

LOCAL = Caller(peer="127.0.0.1", here="127.0.0.1", host=["127.0.0.1:8420"])
AFAR = Caller(peer="192.0.2.7", here="192.0.2.1", host=["192.0.2.1:8420"])


def status(caller: Caller, *, host: str = "127.0.0.1", token: str | None = None) -> int | None:
    refused = Gate(host, token=token).refusal(caller)
    return None if refused is None else refused.status


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8420",
        "127.0.0.1",
        "127.8.9.1:1",
        "localhost:8420",
        "LOCALHOST:8420",
        "[::1]:8420",
        "[::ffff:127.0.0.1]:8420",
        "192.0.2.1:8420",
        "Deck.Lan:8420",
    ],
)
def test_the_server_s_own_names_and_addresses_are_known(host: str) -> None:
    assert status(replace(LOCAL, here="192.0.2.1", host=[host]), host="deck.lan") is None


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example:8420"],
        ["localhost.evil.example"],
        ["127.0.0.1.evil.example"],
        ["localhost:8420@evil.example"],
        ["evil.example#localhost"],
        ["[::1"],
        ["localhost:99999999"],
        [""],
        [],
        ["localhost", "evil.example"],
        ["198.51.100.1:8420"],
    ],
)
def test_a_request_by_a_stranger_s_name_is_refused(hosts: list[str]) -> None:
    assert status(replace(LOCAL, host=hosts)) == 403


@pytest.mark.parametrize("said", [{}, {"site": ["same-origin"]}, {"site": ["none"]}])
def test_this_server_s_own_pages_and_the_user_s_hand_may(said: dict[str, Any]) -> None:
    assert status(replace(LOCAL, origin=["http://127.0.0.1:8420"], **said)) is None
    assert status(replace(LOCAL, **said)) is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:8420",
        "http://127.0.0.1:3000",
        "http://127.0.0.1",
        "https://127.0.0.1:8420",
        "http://127.0.0.1:8420.evil.example",
        "chrome-extension://abc",
        "null",
        "",
    ],
)
def test_a_page_of_another_origin_may_not(origin: str) -> None:
    assert status(replace(LOCAL, origin=[origin])) == 403


def test_of_several_origins_each_must_be_this_server_s() -> None:
    assert status(replace(LOCAL, origin=["http://127.0.0.1:8420", "http://evil.example"])) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "new-word"])
def test_a_page_of_another_site_may_not_even_if_it_hides_its_origin(site: str) -> None:
    assert status(replace(LOCAL, site=[site])) == 403


def test_behind_tls_the_origin_is_https_and_a_usual_port_needs_no_number() -> None:
    secure = replace(LOCAL, secure=True, host=["localhost:443"], origin=["https://localhost"])
    assert status(secure) is None
    assert status(replace(secure, origin=["http://localhost"])) == 403


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_this_machine_may(peer: str) -> None:
    assert status(replace(LOCAL, peer=peer)) is None


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", "fe80::1%eth0", "no address", None])
def test_without_a_token_nobody_else_may(peer: str | None) -> None:
    assert status(replace(AFAR, peer=peer), host="0.0.0.0") == 403


@pytest.mark.parametrize("caller", [LOCAL, AFAR])
def test_with_a_token_whoever_says_it_may(caller: Caller) -> None:
    for said in ("Bearer s3cret", "bearer  s3cret "):
        assert status(replace(caller, authorization=[said]), token="s3cret") is None


@pytest.mark.parametrize("caller", [LOCAL, AFAR])
@pytest.mark.parametrize(
    "said",
    [
        [],
        ["s3cret"],
        ["Basic s3cret"],
        ["Bearer"],
        ["Bearer s3cre"],
        ["Bearer \udcff"],
        ["Bearer s3cret"] * 2,
    ],
)
def test_with_a_token_nobody_else_may(caller: Caller, said: list[str]) -> None:
    assert status(replace(caller, authorization=said), token="s3cret") == 401


def test_a_page_of_another_origin_may_not_even_with_the_token() -> None:
    told = replace(LOCAL, authorization=["Bearer s3cret"], origin=["http://evil.example"])
    assert status(told, token="s3cret") == 403


def test_a_refusal_holds_neither_token_nor_what_was_said() -> None:
    refused = Gate("127.0.0.1", token="s3cret").refusal(replace(LOCAL, authorization=["Bearer gu3ss"]))
    assert isinstance(refused, Refused)
    assert "s3cret" not in refused.sentence
    assert "gu3ss" not in refused.sentence


@pytest.mark.parametrize(
    ("host", "token", "told"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("0.0.0.0", None, True),
        ("0.0.0.0", "s3cret", False),
    ],
)
def test_the_start_line_says_when_others_cannot_drive_the_deck(
    host: str, token: str | None, told: bool
) -> None:
    assert bool(Gate(host, token=token).notes) == told
