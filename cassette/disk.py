"""What the deck asks of a disk, in one value, so that a test can hand in a disk that fails.

Each failure becomes a StorageError of one sentence: what could not be done, and why.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

from tickdeck.cassette.errors import FormatError, StorageError

if sys.platform != "win32":  # there the exclusive creation alone keeps two recorders apart
    import fcntl

_WORDS: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission denied",
    errno.EPERM: "operation not permitted",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk reports an input/output error",
    errno.ENOENT: "no such folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.ENAMETOOLONG: "the name is too long",
}

_NO_SYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP)

_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP)


class Disk:
    """The calls that a recording makes; descriptors are plain numbers, so that nothing is buffered."""

    warned_of_no_sync = False
    """Whether it was already said that this disk cannot flush."""

    def create(self, path: Path) -> int:
        """A new file, open for writing; FileExistsError when there is one."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)

    def reopen(self, path: Path) -> int:
        """A file that is there, open for writing; never through a symbolic link."""
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags)

    def truncate(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)

    def lock(self, descriptor: int) -> None:
        """Keep others from taking the file for abandoned; BlockingIOError when it is somebody else's."""
        if sys.platform != "win32":
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise

    def write(self, descriptor: int, data: bytes) -> int:
        """One write() call; how many bytes it took."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        """Make a rename in this folder last, where a folder can be opened."""
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


DISK: Final = Disk()


class HastyDisk(Disk):
    """For what nobody needs after a power failure: nothing is waited for."""

    def sync(self, descriptor: int) -> None:
        """Not done."""

    def sync_folder(self, folder: Path) -> None:
        """Not done."""


HASTY: Final = HastyDisk()


def is_locked(path: Path) -> bool:
    """Whether a recorder is at work on this file."""
    if sys.platform != "win32":
        with suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise StorageError(f"cannot read {path.name}: {_reason(error)}") from error
    return False


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """What the disk refuses is said in one sentence."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {path.name}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return _WORDS.get(error.errno or 0, error.strerror or str(error))


def write_all(disk: Disk, descriptor: int, data: bytes) -> None:
    """All of the bytes: by one call unless the disk takes less."""
    written = disk.write(descriptor, data)
    while written < len(data):
        written += disk.write(descriptor, data[written:])


def sync(disk: Disk, descriptor: int, path: Path) -> None:
    """Flush a file to the disk; where the file system cannot (some network mounts), that is said once."""
    try:
        disk.sync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        if not disk.warned_of_no_sync:
            disk.warned_of_no_sync = True
            from logging import getLogger

            getLogger(__name__).warning(
                "%s: its file system cannot flush to the disk (fsync says: %s);"
                " a power failure may lose what was written last",
                path.name,
                error.strerror,
            )


def rename_without_replacing(disk: Disk, source: Path, target: Path) -> None:
    """Give a file its name; FileExistsError when the name is taken."""
    try:
        disk.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        # Whatever a file system has against hard links (they differ in what they answer), it may rename.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        disk.rename(source, target)
    else:
        disk.sync_folder(target.parent)  # the disk may do them in any order, and then it had neither name
        disk.unlink(source)


def _reader(file: FileIO) -> Callable[[int, int], bytes]:
    """What reads so many bytes from a position of a file, whichever thread asks."""
    if hasattr(os, "pread"):
        return lambda size, position: os.pread(file.fileno(), size, position)
    lock = threading.Lock()

    def seek_and_read(size: int, position: int) -> bytes:
        with lock:
            file.seek(position)
            return file.read(size) or b""

    return seek_and_read


class FileBytes:
    """A file as a byte source, as long as it is at this moment; may be read by several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not path.is_file() and path.exists() and not path.is_dir():
                raise FormatError(f"{path.name}: not a file, and so not a cassette")
            self._file = path.open("rb", buffering=0)
        except IsADirectoryError as error:
            raise FormatError(f"{path.name}: a folder, not a cassette") from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"cannot read {path.name}: {_reason(error)}") from error
        self.size = os.fstat(self._file.fileno()).st_size
        self._read = _reader(self._file)

    def read_at(self, position: int, size: int) -> bytes:
        """At most ``size`` bytes from ``position``; fewer only at the end."""
        wanted = max(0, min(size, self.size - position))
        try:
            data = self._read(wanted, position)
            while (
                data and len(data) < wanted and (more := self._read(wanted - len(data), position + len(data)))
            ):
                data += more
        except OSError as error:
            raise StorageError(f"cannot read {self._path.name}: {_reason(error)}") from error
        return data

    def close(self) -> None:
        self._file.close()
