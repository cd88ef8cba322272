"""A power failure: of what was not synced, any of it may be gone, and in any order.

The disk is a model. Whatever a recording does is written down; at each moment the power
may fail, and then the disk has what was synced, and of the rest (bytes of files, names in
the folder) whatever part it likes. From each such disk the recording is recovered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from tickdeck.cassette import writer
from tickdeck.cassette.disk import Disk
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.files import open_cassette, recover
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import TEXT, Frame, Header, Sender

BATCH = 4
ZEROS = bytes(700)
"""As where a file grew before its bytes came."""


@dataclass(eq=False)
class File:
    """Its writes, and how many of them were synced."""

    writes: list[bytes] = field(default_factory=list)
    synced: int = 0


class Step(NamedTuple):
    """Something that changed a name in the folder: one was gained (``target``) or lost (``source``)."""

    target: str | None
    source: str | None
    file: File


class Moment(NamedTuple):
    """The disk at one moment: the names that are sure, what is not, what of files is, and the frames promised."""

    sure: dict[str, File]
    unsure: tuple[Step, ...]
    synced: dict[File, int]
    promised: int


class FailingPower(Disk):
    """Does everything for real, and keeps what the disk could look like after each step."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.promised = 0
        """Frames that a finished `append` has promised to be on the disk itself."""
        self._lock = threading.RLock()
        self._files: dict[int, File] = {}
        self._names: dict[str, File] = {}
        self._sure: dict[str, File] = {}
        self._unsure: list[Step] = []

    def _note(self) -> None:
        files = [*self._sure.values(), *(step.file for step in self._unsure)]
        synced = {file: file.synced for file in files}
        self.moments.append(Moment(dict(self._sure), tuple(self._unsure), synced, self.promised))

    def create(self, path: Path) -> int:
        with self._lock:
            descriptor = super().create(path)
            file = self._files[descriptor] = self._names[path.name] = File()
            self._unsure.append(Step(path.name, None, file))
            self._note()
            return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        with self._lock:
            written = super().write(descriptor, data)
            self._files[descriptor].writes.append(data)
            self._note()
            return written

    def sync(self, descriptor: int) -> None:
        with self._lock:
            self._files[descriptor].synced = len(self._files[descriptor].writes)
            self._note()

    def close(self, descriptor: int) -> None:
        with self._lock:
            super().close(descriptor)
            del self._files[descriptor]

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            super().link(source, target)
            file = self._names[target.name] = self._names[source.name]
            self._unsure.append(Step(target.name, None, file))
            self._note()

    def unlink(self, path: Path) -> None:
        with self._lock:
            super().unlink(path)
            self._unsure.append(Step(None, path.name, self._names.pop(path.name)))
            self._note()

    def sync_folder(self, folder: Path) -> None:
        with self._lock:
            self._sure, self._unsure = dict(self._names), []
            self._note()


def frames(number: int) -> Iterator[Frame]:
    return (Frame(seq, seq, 1, Sender.SERVER, TEXT, b"[{T:A %d}]" % seq + b" " * 90) for seq in range(number))


def begun(folder: Path, letters, disk: Disk, *, sync_s: float) -> Recording:
    return Recording.create(
        folder / "x.cassette",
        Header(0, "letters"),
        redactor=letters.door(),
        indexer=letters.indexer,
        opener=disk,
        sync_s=sync_s,
    )


def chosen(unsure: tuple[Step, ...]) -> Iterator[tuple[int, ...]]:
    """Which of the unsure steps the disk may have done: none, all, all up to one, all but one, one alone."""
    number = len(unsure)
    yield ()
    yield tuple(range(number))
    for one in range(number):
        yield (one,)
        yield tuple(range(one))
        yield tuple(each for each in range(number) if each != one)


def images(moment: Moment) -> Iterator[dict[str, bytes]]:
    """The folders that may be found: by name, bytes. Each once."""
    seen = set()
    for steps in chosen(moment.unsure):
        names = dict(moment.sure)
        for step in map(moment.unsure.__getitem__, steps):
            if step.source is not None:
                names.pop(step.source, None)
            if step.target is not None:
                names[step.target] = step.file
        for behind in (b"", ZEROS):
            image = {
                name: b"".join(file.writes[: moment.synced[file]])
                + (behind if moment.synced[file] < len(file.writes) else b"")
                for name, file in names.items()
            }
            if (key := tuple(sorted(image.items()))) not in seen:
                seen.add(key)
                yield image


def saved(folder: Path, image: dict[str, bytes], letters) -> list[int]:
    """The frames that come back from a disk, by their sequence; none where there is no recording at all."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in image.items():
        (folder / name).write_bytes(data)
    found = next((name for name in ("x.cassette", "x.cassette.part") if name in image), None)
    if found is None:
        return []
    try:
        recover(folder / found, folder / "saved.cassette", indexer=letters.indexer)
    except FormatError:  # nothing is left of it; whether anything should be is for the test to say
        return []
    with open_cassette(folder / "saved.cassette", indexer=letters.indexer) as cassette:
        return [record.seq for record in cassette.records()]


@pytest.mark.parametrize("sync_s", [0, 60])
def test_whatever_the_disk_lost_the_rest_reads_and_what_was_promised_is_there(
    tmp_path: Path, letters, monkeypatch: pytest.MonkeyPatch, sync_s: float
) -> None:
    monkeypatch.setattr(writer, "CHUNK_TARGET", 1200)
    (tmp_path / "live").mkdir()
    (tmp_path / "after").mkdir()
    disk = FailingPower()
    recording = begun(tmp_path / "live", letters, disk, sync_s=sync_s)
    coming = frames(12 * BATCH)
    while batch := list(islice(coming, BATCH)):
        recording.append(batch)
        disk.promised = 0 if sync_s else batch[-1].seq + 1
    recording.seal()
    tried = most = 0
    for moment in disk.moments:
        for image in images(moment):
            tried += 1
            back = saved(tmp_path / "after", image, letters)
            most = max(most, len(back))
            assert back == list(range(len(back))), "in order, without a hole, none twice"
            assert len(back) >= moment.promised
    assert tried > 100
    assert most == 12 * BATCH


def test_full_segments_that_wait_for_the_writer_are_synced_with_the_open_one(
    tmp_path: Path, letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still to be packed is no less safe than what is still to be filled."""
    monkeypatch.setattr(writer, "CHUNK_TARGET", 1200)
    go_on = threading.Event()
    bind = writer.Binder.bind

    def slow(binder, cut):
        assert go_on.wait(60)
        return bind(binder, cut)

    monkeypatch.setattr(writer.Binder, "bind", slow)
    disk = FailingPower()
    recording = begun(tmp_path, letters, disk, sync_s=60)
    coming = frames(100)
    while batch := list(islice(coming, BATCH)):
        recording.append(batch)
    recording._spool.sync_rows()  # what its thread does every minute here, every second else
    at_last = disk.moments[-1]
    go_on.set()
    recording.seal()
    (tmp_path / "after").mkdir()
    for image in images(at_last):
        assert saved(tmp_path / "after", image, letters) == list(range(100))
