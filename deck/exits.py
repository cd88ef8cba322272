"""The exit codes, in one table."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from tickdeck.cassette.errors import (
    FormatError,
    RecordingError,
    ReplayError,
    StorageError,
    TickdeckError,
    UsageError,
)


class Exit(enum.IntEnum):
    """What the shell is told."""

    FINE = 0
    DIFFERENT = 1
    """A difference, a failed check, nothing came, nobody came."""
    USAGE = 2
    """Arguments, configuration, an input that is not there, an output that is."""
    BAD_CASSETTE = 3
    """A file that is no sound cassette; a failed verify; a recovery that lost something."""
    UPSTREAM = 4
    """The vendor: unreachable, or it refused the key."""
    UNMATCHED = 5
    """A client asked for what is not on the cassette."""
    STORAGE = 6
    """Disk full, not writable."""
    CUT_SHORT = 130
    """Interrupted before the work was done."""


_BY_BLAME: Final[tuple[tuple[type[BaseException], Exit], ...]] = (
    (FormatError, Exit.BAD_CASSETTE),
    (StorageError, Exit.STORAGE),
    (RecordingError, Exit.UPSTREAM),
    (ReplayError, Exit.DIFFERENT),
    (UsageError, Exit.USAGE),
    (TickdeckError, Exit.DIFFERENT),
    (FileNotFoundError, Exit.USAGE),
    (IsADirectoryError, Exit.USAGE),
    (NotADirectoryError, Exit.USAGE),
    (FileExistsError, Exit.USAGE),
    (OSError, Exit.STORAGE),
)


def exit_of(error: BaseException) -> Exit:
    """The exit code for an error: first row that fits."""
    return next(code for blamed, code in _BY_BLAME if isinstance(error, blamed))


DAMAGE: Final = FormatError.because
FINDINGS: Final = "findings"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb comes to: its exit code; why it is not 0, in a word for ``failed_because`` and as the last line."""

    code: int = Exit.FINE
    because: str | None = None
    sentence: str = ""


def failed(error: TickdeckError) -> Outcome:
    """The outcome of work that an error ended."""
    return Outcome(exit_of(error), error.because, str(error))


def command_ended(code: int) -> Outcome:
    """The outcome of a command beside ours: its code, or 128 and the number of the signal that ended it."""
    if code == Exit.FINE:
        return Outcome()
    how = f"signal {code - 128} ended the command" if code > 128 else f"the command ended with {code}"
    return Outcome(code, "command", how)
