"""The only door to stdout and stderr: what goes through it is printable, and not to be able to print is no accident.

Data goes to stdout by `show`: it is what the verb was asked for, so a failure to write it
is an error. Where stdout only tells of the work (`Account`), and for everything on stderr
(`say`), a failure ends the telling and never the work. A terminal that was closed fails
with EIO, a full disk with ENOSPC, a pipe without a reader with EPIPE, and a stream that was
closed before we began is None: all are the same here.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Final, TextIO

from tickdeck.cassette.errors import StorageError
from tickdeck.watch import printable

_LOWEST: Final = (0, 1, 2)


def show(text: str) -> None:
    """Data on stdout, as lines. `StorageError` where it cannot be written, BrokenPipeError where nobody reads it."""
    _out(printable.lines(text), printable.encodable)


def show_json(text: str) -> None:
    """A line of JSON on stdout, which `printable` made; it fails as `show` does."""
    _out(text, printable.json_encodable)


def show_drawn(text: str) -> None:
    """What a library drew of our own words, its colours included; it fails as `show` does."""
    _out(text, printable.encodable)


def _out(text: str, fit: Callable[[str, str | None], str]) -> None:
    stream = sys.stdout
    if stream is None:
        raise StorageError("cannot write to standard output: it is closed")
    try:
        stream.write((text if text.isascii() else fit(text, stream.encoding)) + "\n")
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        forget(stream)
        raise StorageError(f"cannot write to standard output: {_reason(error)}") from error


def flush() -> None:
    """What `show` wrote is out, or this raises as `show` does."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        forget(sys.stdout)
        raise StorageError(f"cannot write to standard output: {_reason(error)}") from error


def say(text: str) -> None:
    """Words on stderr, as lines; dropped where they cannot be written."""
    Quiet(sys.stderr).write(printable.lines(text) + "\n")


class Account:
    """Stdout of a verb whose work is something else; ``goes_on`` says what does not end with it."""

    def __init__(self, goes_on: str) -> None:
        self._goes_on = goes_on
        self._gone = False

    def show(self, text: str) -> None:
        """Lines, out before the next thing happens; a first failure is said on stderr, and the rest is dropped."""
        self.show_json(printable.lines(text))

    def show_json(self, text: str) -> None:
        """The same for a line of JSON."""
        if self._gone:
            return
        try:
            show_json(text)
            flush()
        except BrokenPipeError:
            forget(sys.stdout)
            self._give_up("nobody reads standard output any more")
        except StorageError as error:
            self._give_up(str(error))

    def _give_up(self, why: str) -> None:
        self._gone = True
        say(f"tickdeck: {why}; {self._goes_on}")


class Quiet(io.TextIOBase):
    """A stream that takes everything and fails at nothing, for what prints by itself (a live display, a log)."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property there, an attribute in its stub
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether somebody may be looking."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """That of the stream."""
        if self._stream is None:
            raise io.UnsupportedOperation("there is no stream")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """As much of it as can be written."""
        if self._stream is not None:
            try:
                encoding = self._stream.encoding
                self._stream.write(text if text.isascii() else printable.encodable(text, encoding))
                self._stream.flush()
            except BlockingIOError:  # its reader is behind, not gone
                pass
            except (OSError, ValueError):
                forget(self._stream)
                self._stream = None
        return len(text)


def forget(stream: TextIO) -> None:
    """Let what is still buffered go nowhere, so that the interpreter does not complain of it again at its end."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # no file of the system's
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def occupy_standard_descriptors() -> None:
    """Where the process began without stdin, stdout or stderr, no file of ours may come to lie in their place."""
    for descriptor in _LOWEST:
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
