"""Upstreams are origins, and nothing else."""

from __future__ import annotations

import pytest

from tickdeck.cassette.errors import UsageError
from tickdeck.recorder.addresses import address, authority, host_of, origin

HTTP = ("http", "https")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://api.massive.com", "https://api.massive.com"),
        (" http://127.0.0.1:8420/ ", "http://127.0.0.1:8420"),
        ("http://[::1]:8420", "http://[::1]:8420"),
        ("HTTPS://api.massive.com", "HTTPS://api.massive.com"),
    ],
)
def test_an_origin_is_scheme_host_and_maybe_a_port(text: str, found: str) -> None:
    assert origin(text, schemes=HTTP) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.massive.com",
        "wss://socket.massive.com",
        "https://",
        "https://api.massive.com/v3",
        "https://api.massive.com?apiKey=x",
        "https://user:password@api.massive.com",
        "https://api.massive.com:99999",
        "https://api.massive.com:port",
    ],
)
def test_anything_else_is_a_usage_error_that_says_what_is_allowed(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"give http://HOST\[:PORT\] or https://HOST\[:PORT\], without a path"
    ):
        origin(text, schemes=HTTP)


@pytest.mark.parametrize("text", ["https://me:SECRET@host", "https://host/v3?apiKey=SECRET\n&a=SECRET"])
def test_no_key_in_an_address_is_repeated(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        origin(text, schemes=HTTP)
    assert "SECRET" not in str(raised.value)
    assert "https://host" in str(raised.value)


def test_the_parts_of_an_origin() -> None:
    assert authority("https://api.massive.com:444") == "api.massive.com:444"
    assert host_of("https://api.massive.com:444") == "api.massive.com"
    assert host_of("ws://[::1]:8420") == "[::1]"
    assert (address("127.0.0.1", 1), address("::1", 2)) == ("127.0.0.1:1", "[::1]:2")
