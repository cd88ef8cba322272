"""docs/cassette-format.md shows a cassette byte for byte: it is made again here, and read from the page."""

import re
from pathlib import Path

from tickdeck.cassette.blocks import Bytes
from tickdeck.cassette.reader import open_sealed
from tickdeck.cassette.records import TEXT, Frame, Header, Sender, Source, TrackOpened
from tickdeck.cassette.writer import encode_cassette

PAGE = Path(__file__).parent.parent / "docs" / "cassette-format.md"

HEADER = Header(1577975400000000000, "letters", source=Source.SYNTHETIC)
RECORDS = [
    TrackOpened(0, 0, 1, "stocks"),
    Frame(1, 1000, 1, Sender.SERVER, TEXT, b"[{T:A},{Q:B}]"),
]


def shown() -> bytes:
    """The bytes of the page's worked example: all code blocks of `hex`, without what stands behind the bars."""
    blocks = re.findall(r"```hex\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return bytes.fromhex("".join(line.split("|")[0] for block in blocks for line in block.splitlines()))


def test_the_worked_example_is_what_the_code_writes(letters) -> None:
    made = encode_cassette(HEADER, RECORDS, indexer=letters.indexer, redactor=letters.door(), level=0)
    assert b"".join(made).hex() == shown().hex()


def test_the_worked_example_reads(letters) -> None:
    cassette = open_sealed("example", Bytes(shown()))
    assert cassette is not None
    assert (cassette.header, list(cassette.records())) == (HEADER, RECORDS)
