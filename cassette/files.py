"""Cassettes on disk: open, recover and verify them. `tickdeck.cassette.recording` is where they are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tickdeck.cassette.chain import chain
from tickdeck.cassette.disk import FileBytes, is_locked
from tickdeck.cassette.errors import FormatError, StorageError, TickdeckError, UsageError
from tickdeck.cassette.indexing import Indexer
from tickdeck.cassette.outputs import output_at
from tickdeck.cassette.places import PART, expand, find, open_segments, part_of, remove_recording
from tickdeck.cassette.placing import Chain, chain_of
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.reader import Cassette, open_sealed, open_unsealed
from tickdeck.cassette.recording import Recording, indexer_of
from tickdeck.cassette.records import Header, Record
from tickdeck.cassette.recovering import Loss, Salvager
from tickdeck.cassette.verify import Verification, VerifyReport

_T = TypeVar("_T")


def open_cassette(path: str | os.PathLike[str], *, indexer: Indexer | None = None) -> Cassette:
    """Open a sealed cassette, or one that is still being recorded or was left so by a kill.

    ``x.cassette`` also finds ``x.cassette.part``. UsageError when there is neither, FormatError when it is no
    sound cassette. The indexer is that of the header's dialect unless one is given.
    """

    def find_indexer(dialect: str) -> Indexer:
        return indexer or indexer_of(dialect)

    return _look(Path(path), lambda found: _open(found, find_indexer))


def open_cassettes(
    paths: Iterable[str | os.PathLike[str]],
    *,
    order: str = Chain.BACK_TO_BACK,
    indexer: Indexer | None = None,
) -> Readable:
    """Open several cassettes as one, in the order given; a path with ``*`` is all that it matches, by name.

    ``order`` is ``back-to-back`` or ``wall``.
    UsageError when a pattern matches nothing, and as `chain` and `open_cassette` do.
    """
    with ExitStack() as held:
        cassettes: list[Readable] = []
        for pattern in paths:
            found = [
                held.enter_context(open_cassette(path, indexer=indexer)) for path in expand(Path(pattern))
            ]
            cassettes += _by_sequence(found)
        whole = chain(cassettes, order=chain_of(order))
        held.pop_all()
        return whole


def _by_sequence(found: list[Cassette]) -> list[Cassette]:
    """Cassettes by name, but the segments of one recording in the order in which they were recorded."""
    first: dict[int, int] = {}
    for at, each in enumerate(found):
        first.setdefault(each.header.epoch_ns, at)

    def place(cassette: Cassette) -> tuple[int, int]:
        refs = cassette.chunk_refs()
        return first[cassette.header.epoch_ns], refs[0].first_seq if refs else 0

    return sorted(found, key=place)


def _look(path: Path, look: Callable[[Path], _T]) -> _T:
    """Look at a cassette; again when it was sealed, and got its name, since it was found."""
    try:
        return look(find(path))
    except FileNotFoundError:
        return look(find(path))


def _open(path: Path, find_indexer: Callable[[str], Indexer]) -> Cassette:
    with ExitStack() as held:
        # Before the file itself: a chunk is in the file before its segment goes.
        segments = open_segments(path, held) if path.name.endswith(PART) else []
        source = FileBytes(path)
        try:
            cassette = open_sealed(path.name, source)
            if cassette is None and path.name.endswith(PART):
                cassette = open_unsealed(path.name, source, segments, find_indexer)
            if cassette is None:
                raise FormatError(
                    f"{path.name}: cut short or damaged at byte {source.size}: the end mark is missing;"
                    f" `tickdeck recover {path.name} -o FILE` saves what is sound",
                    at=source.size,
                )
        except TickdeckError:
            source.close()
            raise
        return cassette


def verify_file(path: str | os.PathLike[str], *, indexer: Indexer | None = None) -> VerifyReport:
    """Check all that can be checked; what is wrong with the file is in the findings, and is not raised."""

    def look(found: Path) -> VerifyReport:
        unfinished = found.name.endswith(PART)
        with ExitStack() as held:
            segments = open_segments(found, held) if unfinished else []
            source = held.enter_context(closing(FileBytes(found)))
            verification = Verification(found.name, source, lambda dialect: indexer or indexer_of(dialect))
            return verification.report(segments, unfinished=unfinished)

    return _look(Path(path), look)


@dataclass(frozen=True, slots=True)
class RecoverReport:
    """What `recover` saved and what not; ``open_end``: how much lay behind the end cannot be told."""

    name: str
    output: str
    records: int
    lost_records: int
    lost_bytes: int
    losses: tuple[Loss, ...]
    open_end: bool
    header_lost: bool
    damages: tuple[str, ...]

    @property
    def lossless(self) -> bool:
        """Whether every record is in the output."""
        return not self.lost_records and not self.open_end and not self.header_lost


@dataclass(frozen=True)
class _Cleaned:
    """What is read back passed redaction before it was first written."""

    redactions: dict[str, dict[str, int]]

    def clean(self, record: Record) -> Record:
        return record

    def clean_header(self, header: Header) -> Header:
        return header


def recover(
    path: str | os.PathLike[str], output: str | os.PathLike[str], *, indexer: Indexer | None = None
) -> RecoverReport:
    """Write what is sound of a cassette to a new one, and read that back.

    UsageError while it is being recorded or when the output exists; FormatError when nothing is left of it.
    """
    found, target = find(Path(path)), Path(output)
    unfinished = found.name.endswith(PART)
    if unfinished and is_locked(found):
        raise UsageError(f"{found.name} is being recorded; it can be read as it is")
    if found == part_of(target):
        raise UsageError(
            f"{found.name} is in the way of {target.name}; choose another name for what is saved"
        )
    return _salvage(found, target, indexer)


def finish(path: str | os.PathLike[str], *, indexer: Indexer | None = None) -> RecoverReport:
    """Seal what a recorder that was killed left of ``path``, under that name; nothing unsealed is left then.

    UsageError while it is being recorded, FormatError when that would lose anything: then all stays as it is.
    """
    target = output_at(Path(path))
    part = part_of(target)
    if is_locked(part):
        raise UsageError(f"{part.name} is being recorded by another process")
    report = _salvage(part, target, indexer)
    if not report.lossless:
        target.unlink()
        raise FormatError(
            f"{part.name} is damaged; `tickdeck recover {part.name} -o FILE` saves what is sound of it"
        )
    remove_recording(part)
    return report


def _salvage(found: Path, target: Path, indexer: Indexer | None) -> RecoverReport:
    unfinished = found.name.endswith(PART)
    with ExitStack() as held:
        segments = open_segments(found, held) if unfinished else []
        source = held.enter_context(closing(FileBytes(found)))
        salvager = Salvager(found.name, source, segments, unfinished=unfinished)
        _write_again(salvager, target, indexer)
    findings = verify_file(target, indexer=indexer).findings
    if findings:
        raise StorageError(f"what was written does not read back: {findings[0]}")
    return RecoverReport(
        name=found.name,
        output=target.name,
        records=salvager.saved,
        lost_records=sum(loss.records for loss in salvager.losses) + salvager.out_of_order,
        lost_bytes=salvager.lost_bytes,
        losses=tuple(salvager.losses),
        open_end=salvager.open_end,
        header_lost=salvager.header is None,
        damages=tuple(salvager.damages),
    )


def _write_again(salvager: Salvager, target: Path, indexer: Indexer | None) -> None:
    header = salvager.header or Header(0, note="the header was lost")
    cleaned = _Cleaned(salvager.redactions)
    recording = Recording.create(target, header, redactor=cleaned, indexer=indexer, write_ahead=False)
    try:
        for record in salvager.records():
            recording.append((record,))
        recording.seal()
    except BaseException:
        recording.abandon()
        recording.part.unlink(missing_ok=True)
        raise
