"""A byte stream to a host: straight, or through the proxy that the environment names."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from asyncio import StreamReader, StreamWriter
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from tickdeck.recorder.addresses import address

_NAMES: Final = {False: ("ws", "http"), True: ("wss", "https")}
"""Whose ``_PROXY`` variables count, for a plain way and for one that is encrypted."""

_ADDRESSES_APART_S: Final = 0.25
"""What RFC 8305 gives one address of a host before the next one is tried beside it."""

_OK: Final = b"200"
_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")


async def open_stream(
    host: str, port: int, *, secure: bool, trust_env: bool
) -> tuple[StreamReader, StreamWriter]:
    """Connected, and encrypted where that is wanted; OSError when it cannot be."""
    tls = ssl.create_default_context() if secure else None
    proxy = _proxy(host, port, secure=secure) if trust_env else None
    if proxy is None:
        try:
            return await asyncio.open_connection(host, port, ssl=tls, happy_eyeballs_delay=_ADDRESSES_APART_S)
        except OSError as error:
            raise _one_of(error) from error
    reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port or 80)
    try:
        await _pass(reader, writer, proxy, address(host, port))
        if tls is not None:
            await writer.start_tls(tls, server_hostname=host)
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


def _proxy(host: str, port: int, *, secure: bool) -> SplitResult | None:
    if proxy_bypass(address(host, port)):
        return None
    known = getproxies()
    for name in _NAMES[secure]:
        if name in known:
            proxy = urlsplit(known[name])
            if proxy.scheme != "http" or not proxy.hostname:
                raise OSError(f"{name.upper()}_PROXY names no proxy of the kind http://HOST:PORT")
            return proxy
    return None


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
        raise ConnectionError("the proxy gave no answer") from error
    said = answer.partition(b"\r\n")[0].split(b" ", 2)
    if said[1:2] != [_OK]:
        raise ConnectionError(f"the proxy answered {b' '.join(said[1:]).decode('ascii', 'replace')}")
