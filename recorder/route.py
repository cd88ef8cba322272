"""A byte stream to a host: straight, or through the proxy that the environment names."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from asyncio import StreamReader, StreamWriter
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from tickdeck.recorder.addresses import address

_NAMES: Final = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "ws": ("ws", "http", "all"),
    "wss": ("wss", "https", "all"),
}
"""Whose ``_PROXY`` variables count for the scheme of an address, the first that is set."""

_DEFAULT_PORT: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}

_ADDRESSES_APART_S: Final = 0.25
"""What RFC 8305 gives one address of a host before the next one is tried beside it."""

_OK: Final = b"200"
_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")


class ProxyError(ConnectionError):
    """The proxy that the environment names is none, or does not let us through."""


class _Variable(NamedTuple):
    name: str
    value: str


async def open_stream(
    host: str, port: int, *, secure: bool, trust_env: bool
) -> tuple[StreamReader, StreamWriter]:
    """Connected, and encrypted where that is wanted; OSError when it cannot be."""
    tls = ssl.create_default_context() if secure else None
    proxy = proxy_for("wss" if secure else "ws", host, port) if trust_env else None
    if proxy is None:
        return await _straight(host, port, tls)
    reader, writer = await tunnel(proxy, host, port)
    try:
        if tls is not None:
            await writer.start_tls(tls, server_hostname=host)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def stream_for_others(host: str, port: int, *, trust_env: bool) -> tuple[StreamReader, StreamWriter]:
    """Connected for a client that says itself what is said, by TLS where the port is that of https."""
    proxy = (
        proxy_for("https" if port == _DEFAULT_PORT["https"] else "http", host, port) if trust_env else None
    )
    return await (_straight(host, port, None) if proxy is None else tunnel(proxy, host, port))


async def _straight(host: str, port: int, tls: ssl.SSLContext | None) -> tuple[StreamReader, StreamWriter]:
    try:
        return await asyncio.open_connection(host, port, ssl=tls, happy_eyeballs_delay=_ADDRESSES_APART_S)
    except OSError as error:
        raise _one_of(error) from error


async def tunnel(proxy: SplitResult, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
    """Connected to a host through a proxy that has stepped aside; `ProxyError` when it does not."""
    try:
        reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port or 80)
    except OSError as error:
        raise ProxyError("the proxy cannot be reached") from _one_of(error)
    try:
        await _pass(reader, writer, proxy, address(host, port))
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _one_of(error: OSError) -> OSError:
    """Where each address of a host failed for the same reason, that reason."""
    numbers = set(_NUMBER.findall(str(error)))
    if error.errno is None and len(numbers) == 1:
        return OSError(int(numbers.pop()), str(error))
    return error


def proxy_for(scheme: str, host: str, port: int) -> SplitResult | None:
    """The proxy of the environment for an address; `ProxyError` where it is none that can be used."""
    if (variable := _variable_for(scheme, host, port)) is None:
        return None
    value = variable.value if "://" in variable.value else f"http://{variable.value}"
    try:
        proxy = urlsplit(value)
        if proxy.scheme == "http" and proxy.hostname and proxy.port != 0:
            return proxy
    except ValueError:
        pass  # no address at all
    raise ProxyError(f"{variable.name} names no proxy of the kind http://HOST:PORT")


def advice(origin: str, *, trust_env: bool) -> str:
    """Behind the words for a failure: that a proxy is set for this origin, and is not used."""
    place = urlsplit(origin)
    port = place.port or _DEFAULT_PORT[place.scheme]
    variable = None if trust_env else _variable_for(place.scheme, place.hostname or "", port)
    return f"; {variable.name} is set and not used: record --trust-env goes through it" if variable else ""


def _variable_for(scheme: str, host: str, port: int) -> _Variable | None:
    if proxy_bypass(address(host, port)) or proxy_bypass(host):
        return None
    known = getproxies()
    name = next((each for each in _NAMES[scheme] if each in known), None)
    return None if name is None else _Variable(f"{name.upper()}_PROXY", known[name])


async def _pass(reader: StreamReader, writer: StreamWriter, proxy: SplitResult, target: str) -> None:
    """Ask the proxy to step aside."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username is not None:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ProxyError("the proxy gave no answer") from error
    said = answer.partition(b"\r\n")[0].split(b" ", 2)
    if said[1:2] != [_OK]:
        raise ProxyError(f"the proxy answered {b' '.join(said[1:]).decode('ascii', 'replace')}")
