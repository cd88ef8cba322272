"""What a recorder or a command writes: to which file, and what a command that was killed leaves."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck.cassette import outputs
from tickdeck.cassette.disk import Disk
from tickdeck.cassette.errors import StorageError, UsageError
from tickdeck.cassette.files import open_cassette, open_cassettes, recover, verify_file
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Anchor, Header, Record, Source
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.cli import main

HEADER = Header(5, "polygon", source=Source.SYNTHETIC)
RECORDS: list[Record] = [Anchor(seq, 10 * seq, 10 * seq) for seq in range(20)]


def begin(path: Path, **options) -> Recording:
    return Recording.create(path, HEADER, redactor=Redactor(NO_PLACES), **options)


def make(path: Path, *, replace: bool = False) -> None:
    make_cassette(path, HEADER, RECORDS, replace=replace, places=NO_PLACES)


def read(path: Path) -> list[Record]:
    with open_cassette(path) as cassette:
        return list(cassette.records())


def leave_unfinished(path: Path) -> Path:
    """What a command that was killed leaves: the file that it wrote, and nobody's lock on it."""
    begin(path, write_ahead=False).abandon()
    return path.with_name(path.name + ".tmp")


@pytest.mark.parametrize(
    "look", [open_cassette, verify_file, lambda path: recover(path, path.with_name("y"))]
)
@pytest.mark.parametrize("name", ["x.cassette", "x.cassette.tmp"])
def test_what_a_killed_command_leaves_is_no_recording(tmp_path: Path, look, name: str) -> None:
    leave_unfinished(tmp_path / "x.cassette")
    with pytest.raises(UsageError, match=r"x\.cassette\.tmp is not a recording but what a command left"):
        look(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["x.cassette.tmp"]


def test_a_pattern_does_not_match_what_a_killed_command_left(tmp_path: Path) -> None:
    leave_unfinished(tmp_path / "a.cassette")
    make(tmp_path / "b.cassette")
    with open_cassettes([tmp_path / "*"]) as found:
        assert list(found.records()) == RECORDS


def test_the_next_run_replaces_what_a_killed_command_left(tmp_path: Path) -> None:
    unfinished = leave_unfinished(tmp_path / "x.cassette")
    unfinished.write_bytes(unfinished.read_bytes() + bytes(100_000))
    make(tmp_path / "x.cassette")
    assert read(tmp_path / "x.cassette") == RECORDS
    assert verify_file(tmp_path / "x.cassette").ok
    assert os.listdir(tmp_path) == ["x.cassette"]


def test_two_commands_do_not_write_one_output(tmp_path: Path) -> None:
    first = begin(tmp_path / "x.cassette", write_ahead=False)
    with pytest.raises(UsageError, match=r"x\.cassette\.tmp is being written by another command"):
        make(tmp_path / "x.cassette")
    with pytest.raises(UsageError, match=r"x\.cassette\.tmp is being written by another command: wait"):
        open_cassette(tmp_path / "x.cassette")
    first.append(RECORDS)
    first.seal()
    assert read(tmp_path / "x.cassette") == RECORDS


def test_an_output_that_its_writer_names_meanwhile_is_not_emptied(tmp_path: Path) -> None:
    """The writer before has linked its output to its name, and was killed before it took the other name away."""
    path = tmp_path / "x.cassette"
    make(path)
    os.link(path, tmp_path / "z.cassette.tmp")
    make(tmp_path / "z.cassette")
    assert read(path) == read(tmp_path / "z.cassette") == RECORDS


class FinishesFirst(Disk):
    """Between two looks at a leftover, its writer names it."""

    def reopen(self, path: Path) -> int:
        os.rename(path, path.with_name("finished"))
        raise FileNotFoundError(errno.ENOENT, "gone", str(path))


def test_an_output_whose_writer_has_just_finished_is_begun_anew(tmp_path: Path) -> None:
    leave_unfinished(tmp_path / "x.cassette")
    recording = begin(tmp_path / "x.cassette", write_ahead=False, opener=FinishesFirst())
    recording.append(RECORDS)
    recording.seal()
    assert read(tmp_path / "x.cassette") == RECORDS


def test_a_link_in_place_of_an_output_is_not_written_through(tmp_path: Path) -> None:
    dear = tmp_path / "dear"
    dear.write_bytes(b"dear to somebody")
    (tmp_path / "x.cassette.tmp").symlink_to(dear)
    with pytest.raises(StorageError, match=r"cannot write x\.cassette\.tmp"):
        make(tmp_path / "x.cassette")
    assert dear.read_bytes() == b"dear to somebody"


def test_a_name_that_was_taken_while_a_cassette_was_made_is_left_alone(tmp_path: Path) -> None:
    recording = begin(tmp_path / "x.cassette", write_ahead=False)
    (tmp_path / "x.cassette").write_bytes(b"dear to somebody")
    with pytest.raises(
        UsageError, match=r"x\.cassette appeared while it was being made; choose another name"
    ):
        recording.seal()
    assert (tmp_path / "x.cassette").read_bytes() == b"dear to somebody"


@pytest.mark.parametrize("there", [False, True])
def test_a_symbolic_link_is_followed_and_stays(tmp_path: Path, there: bool) -> None:
    real, link = tmp_path / "real.cassette", tmp_path / "x.cassette"
    link.symlink_to("real.cassette")
    if there:
        make(real)
    recording = begin(link, replace=there)
    recording.append(RECORDS)
    assert read(tmp_path / "real.cassette.part") == RECORDS
    if not there:
        assert read(link) == RECORDS, "a recording is found through its link while it grows"
    recording.seal()
    assert link.is_symlink()
    assert read(real) == read(link) == RECORDS
    assert sorted(os.listdir(tmp_path)) == ["real.cassette", "x.cassette"]


def test_a_link_to_a_cassette_is_not_replaced_unless_told(tmp_path: Path) -> None:
    make(tmp_path / "real.cassette")
    (tmp_path / "x.cassette").symlink_to("real.cassette")
    with pytest.raises(UsageError, match=r"real\.cassette exists already"):
        make(tmp_path / "x.cassette")


def test_a_symbolic_link_that_leads_to_itself_is_refused_and_stays(tmp_path: Path) -> None:
    one, other = tmp_path / "x.cassette", tmp_path / "y.cassette"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(UsageError, match=r"x\.cassette is a symbolic link that leads to itself"):
        begin(one, replace=True)
    assert sorted(os.listdir(tmp_path)) == ["x.cassette", "y.cassette"]
    assert one.is_symlink()


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there are no device files here")
@pytest.mark.parametrize("verb", ["synth", "pack", "cut", "recover", "record"])
@pytest.mark.parametrize("output", ["/dev/null", "/dev/stdout"])
def test_a_special_file_is_refused_as_an_output(
    tmp_path: Path, verb: str, output: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "x.cassette")
    lines = tmp_path / "lines"
    lines.write_text('{"payload": "[]"}\n')
    inputs = {
        "pack": [str(lines)],
        "cut": [str(tmp_path / "x.cassette")],
        "recover": [str(tmp_path / "x.cassette")],
    }
    force = [] if verb == "recover" else ["-f"]
    before = os.lstat(output)
    assert main([verb, *inputs.get(verb, []), "-o", output, *force]) == 2
    assert "not a file that a cassette could replace" in capfd.readouterr().err
    assert os.path.samestat(os.lstat(output), before)


def test_standard_output_is_refused_also_where_it_is_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tickdeck", "synth", "-o", "/dev/stdout", "-f", "--for", "1s"]
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "stdout is an open stream of this command" in done.stderr
    assert os.path.islink("/dev/stdout")


def test_a_killed_pack_is_run_again(tmp_path: Path) -> None:
    """Also with ``-f``: what was there before stays until the new one is whole."""
    path, unfinished = tmp_path / "x.cassette", tmp_path / "x.cassette.tmp"
    make(path)
    command = [sys.executable, "-m", "tickdeck", "pack", "-", "-o", str(path), "-f"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as packing:
        assert packing.stdin is not None
        line = b'{"payload": "[{\\"ev\\":\\"T\\",\\"sym\\":\\"A\\",\\"p\\":1}]"}\n'
        while not unfinished.exists() or unfinished.stat().st_size < 2_000:
            packing.stdin.write(line * 1_000)
        packing.send_signal(signal.SIGKILL)
        packing.wait()
    assert read(path) == RECORDS
    with pytest.raises(UsageError, match="run that command again"):
        open_cassette(unfinished)
    done = subprocess.run(command, input=line, check=False)
    assert done.returncode == 0
    assert len(read(path)) > 0
    assert os.listdir(tmp_path) == ["x.cassette"]


class NoSync(Disk):
    """A mount on which fsync says EINVAL, as some do."""

    def sync(self, descriptor: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def test_a_mount_that_cannot_flush_is_said_once_and_recorded_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = begin(tmp_path / "x.cassette", opener=NoSync(), sync_s=0)
    for record in RECORDS:
        recording.append([record])
    recording.seal()
    assert read(tmp_path / "x.cassette") == RECORDS
    (said,) = caplog.messages
    assert said.startswith("x.cassette.part: its file system cannot flush to the disk (fsync says: ")


def test_a_leftover_that_others_always_finish_first_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_unfinished(tmp_path / "x.cassette")
    monkeypatch.setattr(outputs, "_is_only_name", lambda *_: False)
    with pytest.raises(UsageError, match="is being written by other commands"):
        make(tmp_path / "x.cassette")
