from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.checksum import crc32


@given(st.binary(), st.binary())
def test_whatever_code_computes_it_the_checksum_is_that_of_zlib(before: bytes, data: bytes) -> None:
    assert crc32(memoryview(data), crc32(before)) == zlib.crc32(before + data)
