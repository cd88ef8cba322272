"""Ten thousand secrets over random conversations: none of them in any byte of any file that a recording makes.

Half of each conversation's secrets are given beforehand, as `--secret-env` gives them; the others are first seen
where secrets stand. From then on each turns up anywhere, in any dress, plain or compressed. What is on the disk is
looked at again and again while the recording grows, and once more, opened and unpacked, at its end.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import string
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest

from tickdeck.cassette.codings import closed, opened
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import (
    TEXT,
    Frame,
    Header,
    HeaderPairs,
    Interaction,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.redaction import Redactor
from tickdeck.dialects import find
from tickdeck.recorder.rotation import Limits, Rotation

CONVERSATIONS = 100
SECRETS = 100
"""In each of them."""

ALPHABET = string.ascii_letters + string.digits + "_-"
CODINGS: tuple[tuple[str, ...], ...] = ((), (), ("gzip",), ("deflate",), ("zstd",), ("br",), ("gzip", "br"))


class Talk:
    """One conversation, by chance from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.secrets = [
            "".join(self.chance.choices(ALPHABET, k=self.chance.randint(16, 40))) for _ in range(SECRETS)
        ]
        self.given = self.secrets[: SECRETS // 2]
        self._seen = list(self.given)
        self._next = 0

    def records(self) -> Iterator[Record]:
        yield TrackOpened(self._seq(), 0, 0, "stocks", request_headers=self._headers())
        for secret in self.secrets[SECRETS // 2 :]:
            yield self._first(secret)
            self._seen.append(secret)
            for _ in range(3):
                yield self._anywhere(self.chance.choice(self._seen))
        yield TrackClosed(self._seq(), 0, 0, Sender.SERVER, 1008, f"no {self._dressed(self._seen[-1])}"[:100])

    def _seq(self) -> int:
        self._next += 1
        return self._next - 1

    def _headers(self) -> HeaderPairs:
        return ((b"Authorization", b"Bearer " + self.chance.choice(self.given).encode()),)

    def _first(self, secret: str) -> Record:
        """Where a secret stands, as the dialect knows it."""
        match self.chance.randrange(4):
            case 0:
                payload = json.dumps({"action": "auth", "params": secret}).encode()
                return Frame(self._seq(), 0, 0, Sender.CLIENT, TEXT, payload)
            case 1:
                return self._answer(f"/v3/trades/A?limit=5&apiKey={quote(secret)}")
            case 2:
                return self._answer("/v3/trades/A", asked=((b"Authorization", b"Bearer " + secret.encode()),))
            case _:
                cookie = ((b"Set-Cookie", f"session={secret}; Path=/".encode()),)
                return self._answer("/v3/trades/A", answered=cookie)

    def _anywhere(self, secret: str) -> Record:
        said = self._dressed(secret)
        match self.chance.randrange(5):
            case 0:
                payload = f'[{{"ev":"status","status":"error","message":"{said} is not known"}}]'.encode()
                return Frame(self._seq(), 0, 0, Sender.SERVER, TEXT, payload)
            case 1:
                return self._answer("/a", answered=((b"Location", f"https://x.test/?next={said}".encode()),))
            case 2:
                return self._answer(f"/{quote(said)}/b")
            case 3:
                return self._answer("/c", sent=f"name={said}".encode())
            case _:
                return self._answer(
                    "/d", body=json.dumps({"error": f"key {said}", "rows": ["x" * 50] * 3}).encode()
                )

    def _answer(
        self,
        path: str,
        *,
        asked: HeaderPairs = (),
        answered: HeaderPairs = (),
        sent: bytes = b"",
        body: bytes = b"{}",
    ) -> Record:
        codings = self.chance.choice(CODINGS)
        if codings:
            answered = (*answered, (b"Content-Encoding", ", ".join(codings).encode()))
        return Interaction(
            self._seq(), 0, 0, 0, self._next, "GET", f"https://x.test{path}", 200,
            request_headers=asked, request_body=sent, response_headers=answered, body=closed(body, codings),
        )  # fmt: skip

    def _dressed(self, secret: str) -> str:
        dresses: list[Callable[[], str]] = [
            lambda: secret,
            lambda: secret + "-staging",
            lambda: "".join(f"%{byte:02X}" for byte in secret.encode()),
            lambda: base64.b64encode(secret.encode()).decode(),
            lambda: base64.urlsafe_b64encode(b"a:" + secret.encode()).decode(),
            lambda: base64.b64encode(b"user" + secret.encode() + b"!").decode(),
        ]
        return self.chance.choice(dresses)()


def betrayed(data: bytes, secrets: list[str]) -> list[str]:
    """The secrets that stand in these bytes: as they are, percent-encoded, or in base64 at any alignment."""
    found = []
    plain = data if b"%" not in data else data + b"\n" + unquote_to_bytes(data)
    for secret in secrets:
        raw = secret.encode()
        cores = []
        for before in range(3):
            whole = base64.b64encode(bytes(before) + raw + bytes(-(before + len(raw)) % 3))
            cores.append(whole[(8 * before + 5) // 6 : 8 * (before + len(raw)) // 6])
        spelled = [raw, *cores, *(core.translate(bytes.maketrans(b"+/", b"-_")) for core in cores)]
        if any(each in plain for each in spelled):
            found.append(secret)
    return found


def unpacked(path: Path) -> bytes:
    """All that the records of a cassette say, bodies opened."""
    pieces: list[bytes] = []
    with open_cassette(path) as cassette:
        pieces.append(repr(cassette.header).encode())
        for record in cassette.records():
            pieces.append(repr(record).encode())
            if isinstance(record, Interaction):
                said = dict(record.response_headers).get(b"Content-Encoding", b"").decode()
                codings = tuple(filter(None, said.split(", ")))
                plain = opened(record.body, codings)
                assert plain is not None
                pieces.append(plain)
            elif isinstance(record, Frame):
                pieces.append(record.payload)
    return b"\n".join(pieces)


def on_disk(folder: Path) -> bytes:
    """Every byte of every file there is now, and their names."""
    found = []
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # its chunk has just been written, or it got its name
            found += [path.name.encode(), path.read_bytes()]
    return b"\n".join(found)


@pytest.mark.timeout(300)
def test_none_of_ten_thousand_secrets_is_in_any_byte_that_was_written(tmp_path: Path) -> None:
    planted = 0
    for seed in range(CONVERSATIONS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        talk = Talk(seed)
        redactor = Redactor(find("polygon").places, known=talk.given)
        header = Header(0, note=f"with {talk.given[0]}")

        def begin(path: Path, header: Header = header, redactor: Redactor = redactor) -> Recording:
            return Recording.create(path, header, redactor=redactor, continues=True)

        rotation = Rotation(
            folder / "x.cassette", Limits(size=20_000), begin=begin, removes=Path.unlink, now_ns=0
        )
        for number, record in enumerate(talk.records()):
            rotation.append([record])
            if number % 100 == 50:
                assert betrayed(on_disk(folder), talk.secrets) == []
            if rotation.is_full(0):
                rotation.turn([], 0)
        rotation.seal()
        assert betrayed(on_disk(folder), talk.secrets) == []
        for path in folder.iterdir():
            assert betrayed(unpacked(path), talk.secrets) == []
        assert betrayed(repr([redactor.redactions, redactor.warnings]).encode(), talk.secrets) == []
        planted += len(talk.secrets)
    assert planted == 10_000


def test_the_search_would_find_them() -> None:
    talk = Talk(1)
    secret = talk.secrets[0]
    for _ in range(200):
        assert betrayed(f'{{"x":"{talk._dressed(secret)}"}}'.encode(), [secret]) == [secret]
    assert betrayed(zlib.compress(secret.encode()), [secret]) == []
