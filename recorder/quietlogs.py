"""Log lines of this process that speak of a recording pass redaction too, whoever writes them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Final

from tickdeck.watch.printable import one_line

NAMES: Final = (
    "tickdeck.recorder",
    "aiohttp.client",
    "aiohttp.internal",
    "aiohttp.server",
    "aiohttp.web",
    "aiohttp.websocket",
    "asyncio",
    "websockets.client",
)


@contextlib.contextmanager
def redacted_logs(clean_text: Callable[[str], str]) -> Iterator[None]:
    """While this is open, nothing these loggers write holds a secret that is known by then."""
    formatter = logging.Formatter()

    def clean(line: logging.LogRecord) -> bool:
        line.msg, line.args = one_line(clean_text(line.getMessage())), ()
        if line.exc_info and line.exc_info[0] is not None:
            line.exc_text = clean_text(formatter.formatException(line.exc_info))
        return True

    loggers = [logging.getLogger(name) for name in NAMES]
    for logger in loggers:
        logger.addFilter(clean)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(clean)
