"""Large answers, on their way to the cassette: in parts, without their secrets, in an order that a reader can join."""

from __future__ import annotations

import gzip
import random
from dataclasses import replace

import pytest

from tickdeck.cassette.bodies import PART_SIZE, PLAIN_LIMIT, WHOLE_LIMIT
from tickdeck.cassette.records import BodyPart, HeaderPairs, Interaction, Record, TrackOpened
from tickdeck.cassette.redaction import Redactor
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.dialects.polygon_secrets import PLACES
from tickdeck.recorder.capture import Exchange, Opening
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.sink import Intake

KEY = "an_Api_Key_of_32_characters_0000"
GZIP: HeaderPairs = ((b"Content-Encoding", b"gzip"),)
LINE = b"T.AAPL,114.170,100,1536036818784,"
TEXT = LINE * (WHOLE_LIMIT // len(LINE) + 100_000)
PIECE = 100_003


class Kept(list[Record]):
    """A cassette that is a list, behind the redaction that a real one has."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def append(self, records: object) -> None:
        assert isinstance(records, list)
        self.extend(map(self._redactor.clean, records))


class Desk:
    def __init__(self) -> None:
        redactor = Redactor(PLACES)
        self.kept = Kept(redactor)
        self.intake = Intake(
            self.kept,  # type: ignore[arg-type]  # what it appends are lists
            Clock(),
            start_ns=0,
            learner=ProfileLearner,
            secrets=redactor,
        )

    def take(self, body: bytes, headers: HeaderPairs = (), *, complete: bool = True) -> str:
        """One answer; what could not be done."""
        keeping = self.intake.answer(replace(HEAD, response_headers=headers))
        for at in range(0, len(body), PIECE):
            keeping.take(body[at : at + PIECE])
        keeping.end(9, complete=complete)
        assert keeping.size == len(body)
        return keeping.trouble

    def answers(self) -> list[tuple[Interaction, list[bytes]]]:
        """Each with the parts of its body."""
        parts: dict[int, list[bytes]] = {}
        found = []
        for record in self.kept:
            match record:
                case BodyPart():
                    parts.setdefault(record.interaction, []).append(record.data)
                case Interaction():
                    found.append((record, parts.pop(record.interaction, [])))
        assert not parts
        return found


HEAD = Exchange(5, 7, 0, "GET", f"https://api.massive.com/v3?apiKey={KEY}", 200)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (random.Random(1).randbytes(PLAIN_LIMIT), ()),
        (gzip.compress(random.Random(1).randbytes(WHOLE_LIMIT - 10_000), 1), GZIP),
    ],
    ids=["plain", "gzip"],
)
def test_a_body_of_the_limit_is_one_row_as_it_came(body: bytes, headers: HeaderPairs) -> None:
    desk = Desk()
    assert desk.take(body, headers) == ""
    [(answer, parts)] = desk.answers()
    assert (answer.body, answer.body_parts, answer.decoded, parts) == (body, 0, False, [])


def test_no_more_than_a_part_of_a_plain_body_is_looked_through_at_once() -> None:
    desk, body = Desk(), random.Random(1).randbytes(15_000_000)
    keeping = desk.intake.answer(HEAD)
    for at in range(0, len(body), PIECE):
        before = len(desk.kept)
        keeping.take(body[at : at + PIECE])
        assert len(desk.kept) - before <= 1
    keeping.end(9, complete=True)
    [(answer, parts)] = desk.answers()
    assert max(map(len, parts)) <= PART_SIZE
    assert (b"".join(parts), answer.decoded, answer.complete) == (body, False, True)


@pytest.mark.parametrize(
    ("packed", "headers"), [(TEXT, ()), (gzip.compress(TEXT, 1), GZIP)], ids=["plain", "gzip"]
)
def test_a_larger_body_is_in_parts_that_come_before_its_row(packed: bytes, headers: HeaderPairs) -> None:
    desk = Desk()
    assert desk.take(packed, headers) == ""
    [(answer, parts)] = desk.answers()
    assert b"".join(parts) == TEXT
    assert max(map(len, parts)) <= PART_SIZE
    assert (answer.body, answer.body_parts, answer.decoded) == (b"", len(parts), bool(headers))
    assert [record.seq for record in desk.kept] == list(range(len(desk.kept)))


def test_the_key_of_the_request_is_in_no_part_though_the_request_is_written_last() -> None:
    desk, where = Desk(), PART_SIZE - 10
    body = bytearray(TEXT)
    for at in range(where, len(TEXT), PART_SIZE):
        body[at : at + len(KEY)] = KEY.encode()
    desk.take(bytes(body))
    [(answer, parts)] = desk.answers()
    assert KEY not in answer.url
    assert KEY.encode() not in b"".join(parts)
    assert b"".join(parts).count(b"REDACTED-1") == len(range(where, len(TEXT), PART_SIZE))


def test_answers_that_come_at_once_are_told_apart() -> None:
    desk = Desk()
    one, other = (desk.intake.answer(HEAD) for _ in range(2))
    for at in range(0, len(TEXT), PIECE):
        one.take(TEXT[at : at + PIECE])
        other.take(TEXT[at : at + PIECE].lower())
    desk.take(b"small")
    other.end(9, complete=True)
    one.end(9, complete=True)
    bodies = [b"".join(parts) or answer.body for answer, parts in desk.answers()]
    assert bodies == [b"small", TEXT.lower(), TEXT]


def test_a_body_that_broke_off_is_kept_as_far_as_it_came() -> None:
    desk = Desk()
    desk.take(TEXT, complete=False)
    [(answer, parts)] = desk.answers()
    assert not answer.complete
    assert b"".join(parts) == TEXT


def test_a_body_that_is_damaged_midway_is_kept_up_to_there_and_said_so() -> None:
    desk = Desk()
    packed = bytearray(gzip.compress(random.Random(2).randbytes(WHOLE_LIMIT * 2), 1))
    packed[WHOLE_LIMIT + 5_000_000 :] = b"x" * 100_000
    assert (
        desk.take(bytes(packed), GZIP) == "a large body could not be opened to its end; its beginning is kept"
    )
    [(answer, parts)] = desk.answers()
    assert not answer.complete
    assert sum(map(len, parts)) > WHOLE_LIMIT


@pytest.mark.parametrize("coding", [b"br", b"snappy"])
def test_a_body_that_cannot_be_opened_at_all_is_kept_in_parts_as_it_came(coding: bytes) -> None:
    desk = Desk()
    desk.take(b"x" * (WHOLE_LIMIT + 1), ((b"Content-Encoding", coding),))
    [(answer, parts)] = desk.answers()
    assert b"".join(parts) == b"x" * (WHOLE_LIMIT + 1)
    assert not answer.decoded


def test_a_bomb_stays_as_it_came() -> None:
    desk, bomb = Desk(), gzip.compress(bytes(WHOLE_LIMIT * 4))
    desk.take(bomb, GZIP)
    [(answer, _)] = desk.answers()
    assert answer.body == bomb


class Segments:
    """A sink in segments that is always full."""

    def __init__(self) -> None:
        self.segments: list[list[Record]] = [[]]

    def append(self, records: list[Record]) -> None:
        self.segments[-1] += records

    def is_full(self, now_ns: int) -> bool:
        return True

    def turn(self, opening: list[Record], now_ns: int) -> None:
        self.segments.append([])
        self.append(opening)


def test_a_segment_does_not_end_within_a_body() -> None:
    sink, redactor = Segments(), Redactor(PLACES)
    intake = Intake(
        sink,  # type: ignore[arg-type]  # the part of one that is asked here
        Clock(),
        start_ns=0,
        learner=ProfileLearner,
        secrets=redactor,
        rotation=sink,  # type: ignore[arg-type]
    )
    keeping = intake.answer(HEAD)
    keeping.take(TEXT)
    before = len(sink.segments)
    intake.track_opened(Opening("stocks"))
    intake.turn()
    assert len(sink.segments) == before
    keeping.end(9, complete=True)
    assert len(sink.segments) == before + 1
    [holding] = [each for each in sink.segments if any(type(record) is BodyPart for record in each)]
    last = holding[-1]
    assert isinstance(last, Interaction)
    assert last.body_parts == sum(type(record) is BodyPart for record in holding)
    assert any(type(record) is TrackOpened for record in holding)
