import errno
import os
import subprocess
import threading
from glob import glob
from pathlib import Path

import pytest

from tickdeck.cassette import disk, places, spool, writer
from tickdeck.cassette.blocks import OPENING_SIZE, Block, Bytes, Kind, pack_block, pack_opening, scan
from tickdeck.cassette.disk import Disk, FileBytes, is_locked, rename_without_replacing
from tickdeck.cassette.errors import FormatError, StorageError, UsageError
from tickdeck.cassette.files import open_cassette, open_cassettes, recover, verify_file
from tickdeck.cassette.header import pack_header
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import TEXT, Frame, Header, Record, Sender, Source, TrackOpened

HEADER = Header(5, "letters", source=Source.SYNTHETIC)
STORY: list[Record] = [
    TrackOpened(0, 0, 1, "stocks"),
    *(Frame(seq, 10 * seq, 1, Sender.SERVER, TEXT, b"[{T:A %d},{Q:B}]" % seq) for seq in range(1, 100)),
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHUNK_TARGET", 600)


class Deck:
    """Records, opens, verifies and recovers in one folder, with the dialect of these tests."""

    def __init__(self, folder: Path, letters) -> None:
        self.folder = folder
        self.path = folder / "x.cassette"
        self.part = folder / "x.cassette.part"
        self.letters = letters
        self.kept = 0

    def create(self, **options) -> Recording:
        door = self.letters.door()
        return Recording.create(self.path, HEADER, redactor=door, indexer=self.letters.indexer, **options)

    def record(self, records: list[Record] = STORY, **options) -> Recording:
        recording = self.create(**options)
        for start in range(0, len(records), 7):
            recording.append(records[start : start + 7])
        return recording

    def fill(self, recording: Recording) -> None:
        """Append all, count what was kept, and seal."""
        for start in range(0, len(STORY), 7):
            recording.append(STORY[start : start + 7])
            self.kept = min(start + 7, len(STORY))
        recording.seal()

    def read(self, path: Path | None = None) -> list[Record]:
        with open_cassette(path or self.path, indexer=self.letters.indexer) as cassette:
            return list(cassette.records())

    def verify(self, path: Path | None = None):
        return verify_file(path or self.path, indexer=self.letters.indexer)

    def recover(self, output: str = "y.cassette", path: Path | None = None):
        return recover(path or self.path, self.folder / output, indexer=self.letters.indexer)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def deck(tmp_path: Path, letters) -> Deck:
    return Deck(tmp_path, letters)


def test_what_is_recorded_is_read_back_and_nothing_is_left_beside_it(deck: Deck) -> None:
    recording = deck.record()
    survey = recording.seal()
    assert deck.read() == STORY
    assert deck.names() == ["x.cassette"]
    assert (survey.records, survey.tracks[1].events) == (100, 198)
    stats = recording.stats
    assert (stats.records, stats.pauses) == (100, 0)
    assert (stats.pending, stats.open_rows, stats.open_bytes) == (0, 0, 0)
    assert 0 < stats.written_bytes < deck.path.stat().st_size
    assert stats.raw_bytes > 0
    assert stats.chunks > 3
    assert deck.verify().ok


def test_how_records_were_batched_does_not_show_in_the_file(deck: Deck) -> None:
    deck.record().seal()
    first = deck.path.read_bytes()
    recording = deck.create(replace=True, write_ahead=False)
    recording.append(STORY)
    recording.seal()
    assert deck.path.read_bytes() == first


def test_a_growing_cassette_reads_as_far_as_it_has_come(deck: Deck) -> None:
    recording = deck.create()
    assert deck.read() == []
    for end in (1, 30, 31, 100):
        recording.append(STORY[len(deck.read()) : end])
        assert deck.read() == deck.read(deck.part) == STORY[:end]
    with open_cassette(deck.path, indexer=deck.letters.indexer) as cassette:
        recording.seal()
        assert list(cassette.records()) == STORY, "a reader keeps what it has opened"
        assert (cassette.name, cassette.sealed) == ("x.cassette.part", False)


def test_an_abandoned_recording_reads_on_and_is_recovered_whole(deck: Deck) -> None:
    recording = deck.record()
    recording.abandon()
    recording.abandon()
    assert deck.read() == STORY
    report = deck.verify()
    assert (report.ok, report.sealed, report.records) == (True, False, 100)
    saved = deck.recover()
    assert (saved.lossless, saved.records, saved.lost_records, saved.output) == (True, 100, 0, "y.cassette")
    assert deck.read(deck.folder / "y.cassette") == STORY
    with open_cassette(deck.folder / "y.cassette") as cassette:
        assert cassette.header == HEADER


def test_each_batch_is_one_write(deck: Deck) -> None:
    class Counting(Disk):
        writes = 0

        def write(self, descriptor: int, data: bytes) -> int:
            self.writes += threading.current_thread() is threading.main_thread()
            return super().write(descriptor, data)

    disk = Counting()
    recording = deck.create(opener=disk)
    disk.writes = 0
    for start in range(0, 12, 4):
        recording.append(STORY[start : start + 4])
    assert disk.writes == 3
    recording.append([])
    assert disk.writes == 3
    recording.abandon()


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_them_all(deck: Deck) -> None:
    class Sipping(Disk):
        def write(self, descriptor: int, data: bytes) -> int:
            return super().write(descriptor, data[:50])

    deck.record(opener=Sipping()).seal()
    assert deck.read() == STORY


def test_nothing_is_replaced_unless_asked(deck: Deck) -> None:
    deck.path.write_bytes(b"dear to somebody")
    with pytest.raises(
        UsageError, match=r"x\.cassette exists already; choose another name, or remove it first"
    ):
        deck.create()
    assert deck.names() == ["x.cassette"]
    deck.record(replace=True).seal()
    assert deck.read() == STORY


def test_a_name_taken_meanwhile_is_left_alone(deck: Deck) -> None:
    recording = deck.record()
    deck.path.write_bytes(b"dear to somebody")
    with pytest.raises(UsageError, match=r"x\.cassette appeared while it was recorded"):
        recording.seal()
    assert deck.path.read_bytes() == b"dear to somebody"
    assert deck.read(deck.part) == STORY


def test_two_recorders_on_one_name_keep_out_of_each_others_way(deck: Deck) -> None:
    recording = deck.record()
    with pytest.raises(UsageError, match=r"x\.cassette\.part is being recorded by another process"):
        deck.create()
    with pytest.raises(UsageError, match=r"x\.cassette\.part is being recorded; it can be read as it is"):
        deck.recover()
    recording.abandon()
    with pytest.raises(
        UsageError, match=r"`tickdeck recover x\.cassette\.part -o FILE` saves it, then remove it"
    ):
        deck.create()
    assert deck.read() == STORY


def test_a_folder_is_no_place_for_a_cassette(deck: Deck) -> None:
    deck.path.mkdir()
    with pytest.raises(UsageError, match=r"x\.cassette is a folder"):
        deck.create(replace=True)


def test_rows_whose_recording_is_gone_are_not_overwritten(deck: Deck) -> None:
    deck.record().abandon()
    deck.part.unlink()
    with pytest.raises(UsageError, match=r"x\.cassette\.part\.w\d+ is left from a recording that is gone"):
        deck.create()


def test_a_recorder_killed_while_naming_leaves_no_obstacle(deck: Deck) -> None:
    deck.record().seal()
    os.link(deck.path, deck.part)
    deck.record(STORY[:5], replace=True).seal()
    assert deck.read() == STORY[:5]


def test_a_recording_ends_once(deck: Deck) -> None:
    recording = deck.record()
    recording.seal()
    recording.abandon()
    for again in (recording.seal, lambda: recording.append([])):
        with pytest.raises(UsageError, match=r"x\.cassette is not being recorded any more"):
            again()


def test_records_out_of_order_are_refused_and_those_before_kept(deck: Deck) -> None:
    recording = deck.create()
    with pytest.raises(UsageError, match="record 1 comes after record 2; sequences rise"):
        recording.append([STORY[2], STORY[1]])
    assert deck.read() == [STORY[2]]
    recording.seal()
    assert deck.read() == [STORY[2]]


class Failing(Disk):
    """A disk that fails at one call of a kind, and from then on."""

    def __init__(self, call: str, after: int, number: int = errno.ENOSPC) -> None:
        self.call, self.left, self.number = call, after, number

    def _count(self, call: str) -> None:
        if call == self.call:
            self.left -= 1
            if self.left < 0:
                raise OSError(self.number, os.strerror(self.number))

    def write(self, descriptor: int, data: bytes) -> int:
        self._count("write")
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._count("sync")
        super().sync(descriptor)

    def link(self, source: Path, target: Path) -> None:
        self._count("link")
        super().link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        self._count("rename")
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._count("unlink")
        super().unlink(path)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self._count("close")


@pytest.mark.parametrize("after", range(1, 26, 3))
def test_a_full_disk_is_one_sentence_and_what_was_kept_is_read(deck: Deck, after: int) -> None:
    recording = deck.create(opener=Failing("write", after))
    with pytest.raises(StorageError, match=r"cannot write x\.cassette\.part[.w0-9]*: the disk is full"):
        deck.fill(recording)
    recording.abandon()
    records = deck.read()
    assert records == STORY[: len(records)]
    assert len(records) >= deck.kept
    assert deck.verify().ok
    assert deck.recover().records == len(records)


@pytest.mark.parametrize(
    ("call", "after"),
    [("sync", 1), ("sync", 3), ("unlink", 0), ("close", 0), ("close", 2)],
)
def test_a_disk_error_at_any_call_loses_nothing(deck: Deck, call: str, after: int) -> None:
    with pytest.raises(StorageError, match="the disk reports an input/output error"):
        deck.fill(deck.create(opener=Failing(call, after, errno.EIO)))
    assert deck.read()[: deck.kept] == STORY[: deck.kept]


def test_after_a_failed_append_nothing_is_appended(deck: Deck) -> None:
    recording = deck.create(opener=Failing("write", 2))
    recording.append(STORY[:3])
    for records in (STORY[3:5], STORY[5:7]):
        with pytest.raises(StorageError, match="the disk is full"):
            recording.append(records)
    with pytest.raises(StorageError, match="the disk is full"):
        recording.seal()
    recording.abandon()
    assert deck.read() == STORY[:3]


def test_a_disk_without_room_for_the_header_leaves_nothing(deck: Deck) -> None:
    with pytest.raises(StorageError, match="the disk is full"):
        deck.create(opener=Failing("write", 0))
    assert deck.names() == []


def test_a_folder_that_is_not_there_is_one_sentence(deck: Deck) -> None:
    deck.path = deck.folder / "no" / "x.cassette"
    with pytest.raises(StorageError, match=r"cannot write x\.cassette\.part: no such folder"):
        deck.create()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write and read anywhere")
def test_what_may_not_be_written_or_read_is_one_sentence(deck: Deck) -> None:
    deck.record().seal()
    deck.path.chmod(0)
    with pytest.raises(StorageError, match=r"cannot read x\.cassette: permission denied"):
        deck.read()


def test_an_indexer_that_fails_is_heard_of(deck: Deck) -> None:
    class Broken(type(deck.letters.indexer)):
        def events(self, payload: bytes):
            raise RecursionError("too deep")

    recording = Recording.create(deck.path, HEADER, redactor=deck.letters.door(), indexer=Broken())
    recording.append(STORY)
    with pytest.raises(StorageError, match=r"cannot write x\.cassette\.part: RecursionError: too deep"):
        recording.seal()
    assert deck.read() == STORY


def test_a_record_that_no_chunk_can_hold_is_heard_of(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    from tickdeck.cassette import chunkcodec

    monkeypatch.setattr(chunkcodec, "MAX_PAYLOAD", 100)
    with pytest.raises(UsageError, match="a chunk of"):
        deck.fill(deck.create())
    assert deck.read()[: deck.kept] == STORY[: deck.kept]


def test_a_stalled_disk_holds_the_recorder_up_and_is_counted(
    deck: Deck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "PENDING", 1)
    gate = threading.Event()

    class Stalled(Disk):
        def sync(self, descriptor: int) -> None:
            if threading.current_thread() is not threading.main_thread():
                assert gate.wait(30)
            super().sync(descriptor)

    recording = deck.create(opener=Stalled())
    opener = threading.Timer(0.3, gate.set)
    opener.start()
    recording.append(STORY)
    opener.join()
    assert recording.stats.pauses >= 1
    assert recording.stats.paused_seconds > 0
    assert recording.stats.most_pending >= 2
    recording.seal()
    assert deck.read() == STORY


def test_rows_are_synced_within_the_interval_also_when_nothing_follows(
    deck: Deck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SYNC_SECONDS", 0.01)
    synced = threading.Event()

    class Watched(Disk):
        def sync(self, descriptor: int) -> None:
            super().sync(descriptor)
            if threading.current_thread() is not threading.main_thread():
                synced.set()

    recording = deck.create(opener=Watched())
    for start in (0, 2):
        synced.clear()
        recording.append(STORY[start : start + 2])
        assert synced.wait(30)
    recording.abandon()


def test_rows_are_synced_while_chunks_are_written(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SYNC_SECONDS", 0.0)
    deck.record().seal()
    assert deck.read() == STORY


@pytest.mark.parametrize(
    "number", [errno.EPERM, errno.EIO, errno.EXDEV, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EMLINK]
)
def test_a_file_system_without_links_still_replaces_nothing(tmp_path: Path, number: int) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    disk = Failing("link", 0, number)
    rename_without_replacing(disk, source, target)
    assert (target.read_bytes(), source.exists()) == (b"new", False)
    source.write_bytes(b"newer")
    with pytest.raises(FileExistsError):
        rename_without_replacing(disk, source, target)
    assert target.read_bytes() == b"new"


def test_a_name_that_no_file_can_have_is_one_sentence(deck: Deck) -> None:
    deck.path = deck.folder / ("x" * 300)
    with pytest.raises(StorageError, match=r"cannot write x+\.part: the name is too long"):
        deck.create()
    with pytest.raises(UsageError, match="no such cassette: "):
        deck.read()


def test_a_file_that_does_not_open_is_one_sentence(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(StorageError, match="cannot read loop: "):
        FileBytes(loop)


def test_a_disk_that_fails_while_reading_is_one_sentence(deck: Deck) -> None:
    def broken(size: int, position: int) -> bytes:
        raise OSError(errno.EIO, "input/output error")

    deck.record().seal()
    source = FileBytes(deck.path)
    source.close()
    source._read = broken
    with pytest.raises(
        StorageError, match=r"cannot read x\.cassette: the disk reports an input/output error"
    ):
        source.read_at(0, 1)


def test_a_segment_that_goes_while_it_is_looked_for_is_passed_over(deck: Deck, monkeypatch) -> None:
    deck.record().abandon()
    there = places.segments_of(deck.part)
    monkeypatch.setattr(places, "segments_of", lambda part: [deck.folder / "gone.w1", *there])
    assert deck.read() == STORY


def test_a_folder_that_is_gone_has_no_segments(tmp_path: Path) -> None:
    assert places.segments_of(tmp_path / "gone" / "x.cassette.part") == []


def test_the_dialect_of_the_header_indexes_unless_another_is_given(deck: Deck) -> None:
    header = Header(0)
    recording = Recording.create(deck.path, header, redactor=deck.letters.door())
    recording.append([Frame(0, 0, 1, Sender.SERVER, TEXT, b'[{"ev":"T","sym":"MSFT"}]')])
    with open_cassette(deck.path) as cassette:
        assert cassette.chunk(0).channels == ("", "T.MSFT")
    recording.seal()
    assert verify_file(deck.path).ok
    with open_cassette(deck.path) as cassette:
        assert cassette.chunk(0).channels == ("", "T.MSFT")


def test_a_file_that_is_gone_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "gone")


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, UsageError, "no such cassette: "),
        (b"", FormatError, r"x\.cassette: the file is empty"),
        (b"PK\x03\x04", FormatError, r"x\.cassette: not a cassette"),
        (
            b"\x89TDK\r\n\x1a\n\x03\0\xfc\xff",
            FormatError,
            r"x\.cassette: format version 3 is newer than this",
        ),
        (
            b"\x89TDK\r\n\x1a\n\0\0\xff\xff",
            FormatError,
            r"x\.cassette: cut short or damaged at byte 12: the end",
        ),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(deck: Deck, content: bytes | None, error, words: str) -> None:
    if content is not None:
        deck.path.write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        deck.read()
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_cassette(deck: Deck) -> None:
    deck.path.mkdir()
    with pytest.raises(FormatError, match=r"x\.cassette: a folder, not a cassette"):
        deck.read()


def test_a_recording_that_is_sealed_while_it_is_looked_for_is_found(deck: Deck, monkeypatch) -> None:
    from tickdeck.cassette import files

    deck.record().seal()
    looks = iter([deck.part, deck.path] * 2)
    monkeypatch.setattr(files, "find", lambda path: next(looks))
    assert deck.read() == STORY
    assert deck.verify().ok


def test_a_damaged_cassette_is_recovered_and_the_losses_told(deck: Deck) -> None:
    deck.record().seal()
    data = bytearray(deck.path.read_bytes())
    data[len(data) // 3] ^= 1
    deck.path.write_bytes(data)
    assert len(deck.verify().findings) == 1
    report = deck.recover()
    assert not report.lossless
    assert report.records + report.lost_records == 100
    assert len(deck.read(deck.folder / "y.cassette")) == report.records
    with pytest.raises(UsageError, match=r"y\.cassette exists already"):
        deck.recover()


def test_a_recovery_that_fails_leaves_nothing_behind(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    deck.record().abandon()
    monkeypatch.setattr(
        Recording, "seal", lambda self: (_ for _ in ()).throw(StorageError("the disk is full"))
    )
    with pytest.raises(StorageError):
        deck.recover()
    assert not [name for name in deck.names() if name.startswith("y.")]


def test_what_recovery_wrote_is_read_back(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    from tickdeck.cassette import files

    deck.record().abandon()
    seal = files.Recording.seal

    def sealed_badly(recording: Recording):
        survey = seal(recording)
        data = bytearray(recording.path.read_bytes())
        data[200] ^= 1
        recording.path.write_bytes(data)
        return survey

    monkeypatch.setattr(files.Recording, "seal", sealed_badly)
    with pytest.raises(
        StorageError, match=r"what was written does not read back: y\.cassette: damaged at byte"
    ):
        deck.recover()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_no_cassette_and_is_not_waited_for(deck: Deck) -> None:
    os.mkfifo(deck.path)
    for look in (deck.read, deck.verify, deck.recover):
        with pytest.raises(FormatError, match=r"x\.cassette: not a file, and so not a cassette"):
            look()
    with pytest.raises(UsageError, match="is not a file that a cassette could replace"):
        deck.create(replace=True)


def test_what_is_recovered_is_not_in_its_own_way(deck: Deck) -> None:
    deck.record().abandon()
    with pytest.raises(UsageError, match=r"x\.cassette\.part is in the way of x\.cassette; choose another"):
        deck.recover("x.cassette")
    assert deck.recover().lossless


def test_a_file_system_without_locks_still_records(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(disk.fcntl, "flock", refuse)
    recording = deck.record()
    assert not is_locked(deck.part)
    recording.seal()
    assert deck.read() == STORY


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files here")
@pytest.mark.parametrize("call", ["sync", "close"])
def test_a_failed_recording_leaves_no_file_open(deck: Deck, call: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    recording = deck.create(opener=Failing(call, 1))
    with pytest.raises(StorageError):
        deck.fill(recording)
    recording.abandon()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_interrupted_recovery_leaves_nothing_behind(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    deck.record().seal()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recording, "append", interrupt)
    with pytest.raises(KeyboardInterrupt):
        deck.recover()
    assert deck.names() == ["x.cassette"]


def test_a_cassette_behind_another_is_told_and_counted_as_lost(deck: Deck) -> None:
    deck.record().seal()
    deck.path.write_bytes(deck.path.read_bytes() * 2)
    report = deck.recover()
    assert (report.records, report.lost_records, report.lossless) == (len(STORY), len(STORY), False)


def test_a_recording_cut_off_anywhere_in_its_end_reads_on(deck: Deck) -> None:
    deck.record().seal()
    data = deck.path.read_bytes()
    deck.path.unlink()
    blocks = [block for block in scan(Bytes(data), OPENING_SIZE) if isinstance(block, Block)]
    index = next(block.position for block in blocks if block.kind == Kind.INDEX)
    for end in range(index, len(data), 7):
        deck.part.write_bytes(data[:end])
        assert deck.read() == STORY
        assert deck.verify().ok


def test_a_lock_that_fails_is_one_sentence(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    deck.record().abandon()
    monkeypatch.setattr(disk.fcntl, "flock", refuse)
    with pytest.raises(
        StorageError, match=r"cannot read x\.cassette\.part: the disk reports an input/output"
    ):
        is_locked(deck.part)
    deck.path = deck.folder / "y.cassette"
    with pytest.raises(
        StorageError, match=r"cannot write y\.cassette\.part: the disk reports an input/output"
    ):
        deck.create()


def test_several_are_opened_as_one_a_sealed_one_and_one_that_is_being_recorded(deck: Deck) -> None:
    indexer, door = deck.letters.indexer, deck.letters.door
    first = Recording.create(deck.folder / "seg-1.cassette", HEADER, redactor=door(), indexer=indexer)
    first.append(STORY[:40])
    first.seal()
    second = Recording.create(deck.folder / "seg-2.cassette", HEADER, redactor=door(), indexer=indexer)
    second.append(STORY[40:])
    with open_cassettes([deck.folder / "seg-*.cassette"], indexer=indexer) as whole:
        assert list(whole.records()) == STORY
        assert not whole.sealed
    second.abandon()
    with open_cassettes([deck.folder / "seg-2.cassette.part"], indexer=indexer) as one:
        assert list(one.records()) == STORY[40:]


def test_a_pattern_is_what_it_matches_by_name_and_segments_are_no_cassettes(tmp_path: Path) -> None:
    names = ("b.cassette", "a.cassette.part", "a.cassette.part.w000001", "c.txt", "b.cassette.part", "x.w1")
    for name in names:
        (tmp_path / name).write_bytes(pack_opening() + pack_block(Kind.HEADER, pack_header(Header(0))))
    (tmp_path / "d.cassette.part").touch()  # killed before its header was written: there is nothing of it
    found = places.expand(tmp_path / "*.cassette")
    assert [path.name for path in found] == ["a.cassette", "b.cassette"]
    assert [path.name for path in places.expand(tmp_path / "*")] == [
        "a.cassette",
        "b.cassette",
        "c.txt",
        "x.w1",
    ]
    assert places.expand(tmp_path / "none.cassette") == [tmp_path / "none.cassette"]
    with pytest.raises(UsageError, match=r"no cassette matches .*z\*"):
        places.expand(tmp_path / "z*")
    (tmp_path / "z*").touch()
    assert places.expand(tmp_path / "z*") == [tmp_path / "z*"]


@pytest.mark.parametrize("name", ["run[BRK-A]", "run", "run[*]", "what?", "[a]/[!b]", "run*"])
def test_the_pattern_of_a_recording_means_its_segments_and_no_others(tmp_path: Path, name: str) -> None:
    output = tmp_path / f"{name}.cassette"
    output.parent.mkdir(exist_ok=True)
    segments = [output.with_name(f"{output.stem}-000{number}.cassette") for number in (1, 2)]
    others = ("runB-0001.cassette", "runrun-0001.cassette", "whatt-0001.cassette", "c-0001.cassette")
    for path in (*segments, *(output.with_name(each) for each in others)):
        path.write_bytes(b"")
    pattern = places.pattern_of(output)
    assert places.expand(pattern) == segments
    assert sorted(map(Path, glob(str(pattern)))) == segments
    shell = subprocess.run(
        f"printf '%s\\n' {pattern}", shell=True, capture_output=True, text=True, check=True
    )
    assert shell.stdout.splitlines() == list(map(str, segments))


def test_what_was_opened_is_closed_when_another_cannot_be(
    deck: Deck, monkeypatch: pytest.MonkeyPatch
) -> None:
    deck.record().seal()
    closed: list[FileBytes] = []
    close = FileBytes.close
    monkeypatch.setattr(FileBytes, "close", lambda self: (closed.append(self), close(self)))
    with pytest.raises(UsageError, match="no such cassette"):
        open_cassettes([deck.path, deck.folder / "none.cassette"], indexer=deck.letters.indexer)
    assert len(closed) == 1
