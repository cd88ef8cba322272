"""The errors of tickdeck, by whose fault it is.

    TickdeckError
    ├── FormatError      the file: it is not a sound cassette
    │   └── NewerFormatError    it may be sound, but a later release made it
    ├── StorageError     the disk: full, not writable, gone
    ├── RecordingError   the service or the network while recording
    ├── ReplayError      the client under test
    └── UsageError       the caller's input

Each message is one sentence, lower case, with no final stop: the fact, what was
found, what is allowed, the next step. The parts travel as attributes where a
caller may want them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

Result = TypeVar("Result")


class TickdeckError(Exception):
    """Anything tickdeck says is wrong; the text is one sentence for a person.

    ``because`` is its kind in one word, for the field ``failed_because`` of a report.
    """

    because: ClassVar[str] = "error"


class FormatError(TickdeckError):
    """The file is not a sound cassette; ``at`` is the byte position where that shows, if known.

    ``file`` is the name that the sentence begins with, once it does.
    """

    because = "damage"

    def __init__(self, sentence: str, *, at: int | None = None, file: str | None = None) -> None:
        super().__init__(sentence)
        self.at = at
        self.file = file


class NewerFormatError(FormatError):
    """The file needs a later release; nothing in it may be taken for damage, or be made over."""


class StorageError(TickdeckError):
    """The disk did not do what it was asked: full, not writable, gone.

    ``kept`` is how many records of the batch that was being appended are safe all the same.
    """

    because = "storage"
    kept: int = 0


class RecordingError(TickdeckError):
    """The service or the network while recording: unreachable, refused, nothing came."""

    because = "upstream"


class ReplayError(TickdeckError):
    """The client under test did something the service would not have answered."""


class UsageError(TickdeckError):
    """The caller's input: an option, an argument, an existing output."""

    because = "usage"


def said_by_us(excinfo: object) -> bool:
    """As ``__tracebackhide__`` of a module: pytest shows none of its frames where the error is a sentence of ours."""
    return isinstance(getattr(excinfo, "value", None), TickdeckError | AssertionError)


def without_internals(work: Callable[[], Result]) -> Result:
    """What comes of it. An error of ours begins here: whoever reads it need not see where it was found."""
    try:
        return work()
    except TickdeckError as error:
        raise error.with_traceback(None) from error.__cause__


__tracebackhide__ = said_by_us
