from __future__ import annotations

from contextlib import nullcontext

import pytest

from tickdeck.cassette.channeltable import ChannelTable
from tickdeck.cassette.compression import PLAIN
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.lanes import store
from tickdeck.cassette.packing import pack
from tickdeck.cassette.storedcolumns import StoredColumns


def table(value: object) -> ChannelTable:
    columns = pack({"channels": value})
    return ChannelTable(StoredColumns(PLAIN, memoryview(columns), len(columns), lanes=0, within=nullcontext))


@pytest.mark.parametrize("count", [1, 15, 16, 70_000])
@pytest.mark.parametrize("level", [0, 1])
def test_how_many_names_there_are_is_known_before_they_are_unpacked(count: int, level: int) -> None:
    names = ["", *(f"T.{number}" for number in range(1, count))]
    found = table(store(pack(names), level))
    assert len(found) == count
    assert list(found) == names
    assert found[-1] == names[-1]
    assert found[:2] == tuple(names[:2])
    assert found == tuple(names)


@pytest.mark.parametrize("value", [b"", b"\x80", 7, None])
def test_what_is_no_list_is_refused_when_it_is_counted(value: object) -> None:
    with pytest.raises(FormatError, match="channels"):
        len(table(value))


@pytest.mark.parametrize("data", [pack(["T.A"]), pack(["", 7]), b"\x92\xa0"])
def test_names_that_are_unsound_are_refused_when_one_is_asked_for(data: bytes) -> None:
    found = table(data)
    with pytest.raises(FormatError):
        _ = found[0]
