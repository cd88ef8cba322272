"""The file that a recording or a command writes: chosen, begun, and given its name at the end.

Two kinds of file are begun here. A recording (``x.cassette.part``) is created exclusively
and never touched again by anybody but its recorder: its rows exist nowhere else. The
output of a command (``x.cassette.tmp``) can be made again, so the next run takes over
what a killed one left. In both cases a lock keeps two writers apart.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tickdeck.cassette.disk import Disk, is_locked, rename_without_replacing, storing, sync, write_all
from tickdeck.cassette.errors import StorageError, UsageError
from tickdeck.cassette.places import TMP, segments_of

_STANDARD_STREAMS: Final = (0, 1, 2)
_ATTEMPTS: Final = 5
"""How often a leftover is tried for, while other commands come and go with it."""


def output_at(path: Path) -> Path:
    """The regular file that a path names or will name, behind any symbolic link.

    UsageError for a folder, a device, a pipe or a socket, and for a standard stream of this process.
    """
    if not path.name:
        raise UsageError("the name of a file is empty")
    target = Path(os.path.realpath(path)) if os.path.islink(path) else path
    if os.path.islink(target):
        raise UsageError(f"{path.name} is a symbolic link that leads to itself; give the name of a file")
    try:
        found = path.stat()
    except (OSError, ValueError):  # nothing there, or nothing that can be looked at: creating it says so
        return target
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{path.name} is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path.name} is not a file that a cassette could replace; give the name of a file")
    if _is_standard_stream(found) or not target.exists():
        raise UsageError(
            f"{path.name} is an open stream of this command, not a file that a cassette could replace;"
            " give the name of a file"
        )
    return target


def _is_standard_stream(found: os.stat_result) -> bool:
    for descriptor in _STANDARD_STREAMS:
        try:
            if os.path.samestat(found, os.fstat(descriptor)):
                return True
        except OSError as error:
            if error.errno != errno.EBADF:  # a stream that was closed is nobody's
                raise
    return False


def begin(path: Path, unsealed: Path, opening: bytes, *, replace: bool, disk: Disk) -> int:
    """The descriptor of the file ``unsealed``, locked, with its opening on disk; it will be named ``path``."""
    if os.path.lexists(path) and not replace:
        raise UsageError(f"{path.name} exists already; choose another name, or remove it first")
    _clear_second_name(path, unsealed, disk)
    descriptor = _take_over(unsealed, disk) if unsealed.name.endswith(TMP) else _create(unsealed, disk)
    try:
        with storing(unsealed):
            write_all(disk, descriptor, opening)
            sync(disk, descriptor, unsealed)
            disk.sync_folder(unsealed.parent)
    except StorageError:
        disk.close(descriptor)
        unsealed.unlink(missing_ok=True)
        raise
    return descriptor


def give_name(unsealed: Path, path: Path, *, replace: bool, disk: Disk) -> None:
    """Rename the sealed file to its name; UsageError when the name was taken meanwhile and may not be replaced."""
    with storing(path):
        if replace:
            disk.replace(unsealed, path)
        else:
            with _name_is_free(unsealed, path):
                rename_without_replacing(disk, unsealed, path)
        disk.sync_folder(path.parent)


@contextmanager
def _name_is_free(unsealed: Path, path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        if unsealed.name.endswith(TMP):
            raise UsageError(f"{path.name} appeared while it was being made; choose another name") from error
        raise UsageError(
            f"{path.name} appeared while it was recorded; the recording is whole: rename {unsealed.name}"
        ) from error


def _create(part: Path, disk: Disk) -> int:
    """A new recording's file; UsageError when there is one."""
    if not os.path.exists(part) and (left := segments_of(part)):
        raise UsageError(f"{left[0].name} is left from a recording that is gone; move it away first")
    try:
        with storing(part):
            descriptor = disk.create(part)
    except StorageError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise UsageError(_taken(part)) from error
        raise
    try:
        with storing(part):
            disk.lock(descriptor)
    except StorageError:
        disk.close(descriptor)
        part.unlink(missing_ok=True)
        raise
    return descriptor


def _take_over(tmp: Path, disk: Disk) -> int:
    """A command's output file, new or left over and empty again; UsageError while another command writes it."""
    for _ in range(_ATTEMPTS):
        with storing(tmp):
            descriptor = _open_tmp(tmp, disk)
            try:
                disk.lock(descriptor)
                if _is_only_name(descriptor, tmp):
                    disk.truncate(descriptor)
                    return descriptor
            except BlockingIOError as error:
                disk.close(descriptor)
                raise UsageError(f"{tmp.name} is being written by another command") from error
            except OSError:
                disk.close(descriptor)
                raise
        disk.close(descriptor)
    raise UsageError(f"{tmp.name} is being written by other commands")


def _open_tmp(tmp: Path, disk: Disk) -> int:
    try:
        return disk.create(tmp)
    except FileExistsError:
        try:
            return disk.reopen(tmp)
        except FileNotFoundError:
            return disk.create(tmp)


def _is_only_name(descriptor: int, tmp: Path) -> bool:
    """Whether the open file has this name and no other: its writer may just have given it its own."""
    try:
        named = os.path.samestat(os.fstat(descriptor), tmp.stat())
    except FileNotFoundError:
        return False
    if named and os.fstat(descriptor).st_nlink > 1:
        tmp.unlink()
        return False
    return named


def _clear_second_name(path: Path, unsealed: Path, disk: Disk) -> None:
    """A writer killed while it named the sealed file leaves a second name of it. Rows are never removed."""
    if os.path.exists(path) and os.path.exists(unsealed) and path.samefile(unsealed):
        with storing(unsealed):
            disk.unlink(unsealed)


def _taken(part: Path) -> str:
    if is_locked(part):
        return f"{part.name} is being recorded by another process"
    return (
        f"{part.name} exists, a recording that was not sealed;"
        f" `tickdeck recover {part.name} -o FILE` saves it, then remove it"
    )
