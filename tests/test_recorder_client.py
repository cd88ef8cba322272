"""The recorder as a client, against a scripted vendor on the `websockets` server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tickdeck.cassette.errors import RecordingError, StorageError
from tickdeck.cassette.records import (
    PING,
    PONG,
    TEXT,
    Frame,
    Gap,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.dialects.dialogue import Dialogue
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.recorder.client import SocketClient, Wanted
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.notices import Notice
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.talk import Patience

KEY = "a-key-of-sixteen-characters"
TRADE = '[{"ev":"T","sym":"MSFT","p":114.170}]'
BRISK = Patience(
    answer_ns=SECOND_NS // 5,
    acknowledgement_ns=SECOND_NS // 20,
    last_words_ns=SECOND_NS // 5,
    quiet_ns=SECOND_NS // 10,
    first_retry_ns=SECOND_NS // 100,
)
"""Short where a test waits for the wait to be over."""

LISTENING = Patience(silence_ns=SECOND_NS // 20, quiet_ns=SECOND_NS // 2)
"""Soon uneasy when nothing at all comes."""


def status(word: str, message: str) -> str:
    return f'[{{"ev":"status","status":"{word}","message":"{message}"}}]'


GREETING = status("connected", "Connected Successfully")
TAKEN = status("auth_success", "authenticated")


class Vendor:
    """Greets, takes a key, acknowledges what is in ``sold``, says ``not authorized`` to what is in ``dear``."""

    def __init__(self, *, sold: Iterable[str] = ("T.MSFT",), dear: Iterable[str] = ()) -> None:
        self.sold = tuple(sold)
        self.dear = tuple(dear)
        self.heard: list[str | bytes] = []

    async def sell(self, connection: ServerConnection) -> None:
        await connection.send(GREETING)
        self.heard.append(await connection.recv())
        await connection.send(TAKEN)
        self.heard.append(asked := await connection.recv())
        channels = json.loads(asked)["params"].split(",")
        for channel in channels:
            if channel in self.dear:
                await connection.send(status("error", "not authorized"))
        for channel in channels:
            if channel in self.sold:
                await connection.send(status("success", f"subscribed to: {channel}"))


class Kept:
    """A cassette that is a list."""

    def __init__(self, refuses: str = "") -> None:
        self.records: list[Record] = []
        self._refuses = refuses.encode()

    def append(self, records: Iterable[Record]) -> None:
        for record in records:
            if self._refuses and isinstance(record, Frame) and self._refuses in record.payload:
                raise StorageError("cannot write x.cassette: the disk is full")
            self.records.append(record)

    def frames(self, sender: Sender) -> list[str]:
        frames = (record for record in self.records if isinstance(record, Frame))
        return [frame.payload.decode() for frame in frames if frame.sender is sender]

    def controls(self) -> list[tuple[Sender, int, bytes]]:
        frames = (record for record in self.records if isinstance(record, Frame))
        return [(each.sender, each.opcode, each.payload) for each in frames if each.opcode in (PING, PONG)]

    def closes(self) -> list[tuple[Sender | None, int | None]]:
        return [(each.by, each.code) for each in self.records if isinstance(each, TrackClosed)]

    def gaps(self) -> list[Gap]:
        return [each for each in self.records if isinstance(each, Gap)]


class Run:
    """A client at work."""

    def __init__(self, origin: str, channels: tuple[str, ...], patience: Patience, kept: Kept) -> None:
        self.kept = kept
        self.notices: list[Notice] = []
        self._news = asyncio.Event()
        clock = Clock()
        intake = Intake(
            kept, clock, start_ns=clock.now_ns(), learner=ProfileLearner, secrets=Redactor(NO_PLACES)
        )
        wanted = Wanted(origin, "stocks", "", partial(Dialogue, KEY, channels), seed=7)
        self.client = SocketClient(wanted, intake, clock, notify=self._notify, patience=patience)
        self.task = asyncio.create_task(self.client.run())

    def _notify(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._news.set()

    async def said(self, kind: str, times: int = 1) -> Notice:
        """The notice of this kind, when it comes."""
        async with asyncio.timeout(10):
            while len(found := [notice for notice in self.notices if notice.kind == kind]) < times:
                self._news.clear()
                news = asyncio.create_task(self._news.wait())
                done, _ = await asyncio.wait((news, self.task), return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if self.task in done:
                    self.task.result()
                    raise AssertionError(f"ended before {kind}")
        return found[-1]

    async def until_events(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.client.standing.events < count:
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    async def fails(self) -> str:
        with pytest.raises(RecordingError) as raised:
            await asyncio.wait_for(self.task, 10)
        return str(raised.value)

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RecordingError, StorageError):
            await self.task


Handler = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def recording(
    handler: Handler,
    *channels: str,
    patience: Patience | None = None,
    kept: Kept | None = None,
    **options: object,
) -> AsyncIterator[Run]:
    async def guarded(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await handler(connection)

    async with serve(guarded, "127.0.0.1", 0, close_timeout=1, **options) as server:  # type: ignore[arg-type]
        port = server.sockets[0].getsockname()[1]
        run = Run(f"ws://127.0.0.1:{port}", channels or ("T.MSFT",), patience or Patience(), kept or Kept())
        try:
            yield run
        finally:
            await run.stop()


async def test_a_whole_conversation_is_kept_from_both_sides() -> None:
    vendor = Vendor(sold=("T.MSFT", "AM.*"))

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.send(TRADE)
        await connection.wait_closed()

    async with recording(sell, "T.MSFT", "AM.*") as run:
        await run.until_events(1)
    assert run.kept.frames(Sender.CLIENT) == [
        f'{{"action":"auth","params":"{KEY}"}}',
        '{"action":"subscribe","params":"T.MSFT,AM.*"}',
    ]
    assert run.kept.frames(Sender.SERVER) == [
        GREETING,
        TAKEN,
        status("success", "subscribed to: T.MSFT"),
        status("success", "subscribed to: AM.*"),
        TRADE,
    ]
    assert run.kept.closes() == [(None, 1001)]
    assert vendor.heard == run.kept.frames(Sender.CLIENT)
    assert not run.client.standing.unacknowledged
    sequence = [record.seq for record in run.kept.records]
    assert sequence == sorted(set(sequence))
    (opened,) = (record for record in run.kept.records if isinstance(record, TrackOpened))
    assert (opened.track, opened.market) == (0, "stocks")
    assert opened.url.endswith("/stocks")
    assert dict(opened.response_headers)[b"Upgrade"] == b"websocket"
    assert b"Sec-WebSocket-Extensions" not in dict(opened.request_headers)
    learned = [record.values for record in run.kept.records if isinstance(record, Profile)]
    assert dict(learned[-1])["greeting"] == GREETING


async def test_a_refused_key_ends_it_in_the_words_of_the_service_and_the_drop_is_kept() -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.send(GREETING)
        await connection.recv()
        await connection.send(status("auth_failed", "invalid API key"))
        connection.transport.close()

    async with recording(refuse) as run:
        assert await run.fails() == "the service refused the key: invalid API key"
    assert run.kept.frames(Sender.SERVER)[-1] == status("auth_failed", "invalid API key")
    assert run.kept.closes() == [(Sender.SERVER, None)]


async def test_a_service_that_refuses_the_key_and_hangs_on_is_left() -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.send(GREETING)
        await connection.recv()
        await connection.send(status("auth_failed", "invalid API key"))
        await connection.wait_closed()

    async with recording(refuse, patience=BRISK) as run:
        assert "invalid API key" in await run.fails()
    assert run.kept.closes() == [(None, 1001)]


async def test_a_refused_channel_is_named_at_once_when_it_is_clear_which() -> None:
    vendor = Vendor(sold=("T.MSFT",), dear=("Q.MSFT",))

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.wait_closed()

    async with recording(sell, "T.MSFT", "Q.MSFT") as run:
        assert (await run.said("refused")).values() == {"channels": ("Q.MSFT",), "words": "not authorized"}
    assert list(run.client.standing.refused) == ["Q.MSFT"]


async def test_a_channel_that_nobody_acknowledges_is_named_after_a_while() -> None:
    vendor = Vendor(sold=("T.MSFT",))

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.wait_closed()

    async with recording(sell, "T.MSFT", "ZZ.MSFT", patience=BRISK) as run:
        assert (await run.said("unacknowledged")).values() == {"channels": ("ZZ.MSFT",), "seconds": 0.05}
    assert list(run.client.standing.unacknowledged) == ["ZZ.MSFT"]


async def test_a_channel_without_an_answer_is_in_the_report_of_a_recording_that_ends_early() -> None:
    vendor = Vendor(sold=("T.MSFT",))

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.wait_closed()

    async with recording(sell, "T.MSFT", "ZZ.MSFT") as run:
        await run.said("subscribed")
    assert list(run.client.standing.unacknowledged) == ["ZZ.MSFT"]


async def test_where_it_stays_open_which_were_refused_all_that_are_left_are_named() -> None:
    vendor = Vendor(sold=("T.MSFT",), dear=("Q.MSFT",))

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.wait_closed()

    async with recording(sell, "T.MSFT", "Q.MSFT", "ZZ.MSFT", patience=BRISK) as run:
        refused = (await run.said("refused")).values()
    assert refused == {"channels": ("Q.MSFT", "ZZ.MSFT"), "words": "not authorized (1 of these)"}


async def test_quiet_is_said_aloud() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.wait_closed()

    async with recording(sell, patience=BRISK) as run:
        quiet = (await run.said("quiet")).values()
    assert quiet["market"] == "stocks"
    assert float(str(quiet["seconds"])) >= 0.1
    assert not run.client.standing.events


async def test_after_a_loss_it_comes_back_subscribes_again_and_notes_the_gap() -> None:
    vendor = Vendor()
    rounds = 0

    async def sell(connection: ServerConnection) -> None:
        nonlocal rounds
        rounds += 1
        await vendor.sell(connection)
        await connection.send(TRADE)
        if rounds == 1:
            connection.transport.close()
        await connection.wait_closed()

    async with recording(sell, patience=BRISK) as run:
        await run.said("gap")
        await run.until_events(2)
    assert run.kept.closes() == [(Sender.SERVER, None), (None, 1001)]
    (gap,) = run.kept.gaps()
    assert gap.market == "stocks"
    assert gap.end_ns > gap.offset_ns
    assert gap.reason.endswith("/stocks was lost without a close")
    assert len([frame for frame in run.kept.frames(Sender.CLIENT) if "subscribe" in frame]) == 2


async def test_a_clean_close_by_the_service_is_a_loss_too() -> None:
    vendor = Vendor()
    rounds = 0

    async def sell(connection: ServerConnection) -> None:
        nonlocal rounds
        rounds += 1
        await vendor.sell(connection)
        if rounds == 1:
            await connection.close(1000, "restart")
        await connection.wait_closed()

    async with recording(sell, patience=BRISK) as run:
        await run.said("gap")
    assert run.kept.closes()[0] == (Sender.SERVER, 1000)
    assert run.kept.gaps()[0].reason.endswith("was closed with 1000 restart")


async def test_attempts_that_fail_belong_to_one_gap() -> None:
    vendor = Vendor()
    rounds = 0

    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        nonlocal rounds
        rounds += 1
        return connection.respond(HTTPStatus.BAD_GATEWAY, "") if rounds in (2, 3) else None

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        if rounds == 1:
            connection.transport.close()
        await connection.wait_closed()

    async with recording(sell, patience=BRISK, process_request=refuse) as run:
        await run.said("gap")
    assert [notice.kind for notice in run.notices].count("lost") == 3
    assert len(run.kept.gaps()) == 1


async def test_a_service_that_drops_every_connection_is_asked_less_and_less_often() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        connection.transport.close()

    async with recording(sell, patience=BRISK) as run:
        await run.said("lost", times=5)
    waits = [float(str(each.values()["retry_seconds"])) for each in run.notices if each.kind == "lost"]
    assert waits[0] <= 0.015
    assert waits[4] >= 0.08
    assert len(run.kept.gaps()) >= 4


async def test_a_gap_that_never_ended_ends_with_the_recording() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        connection.transport.close()

    async with recording(sell, patience=replace(BRISK, first_retry_ns=60 * SECOND_NS)) as run:
        await run.said("lost")
    assert len(run.kept.gaps()) == 1


async def test_an_eviction_is_told_plainly_and_not_fought() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.send(status("max_connections", "Maximum number of websocket connections exceeded. "))
        await connection.close(1008)

    async with recording(sell) as run:
        assert await run.fails() == (
            "another connection of this key took over stocks: "
            "Maximum number of websocket connections exceeded."
        )
    assert run.kept.closes() == [(Sender.SERVER, 1008)]
    dropped = (await run.said("dropped")).values()
    assert dropped["words"] == "Maximum number of websocket connections exceeded."
    assert "most plans allow one" in str(dropped["advice"])


async def test_a_slow_reader_is_told_so_and_dials_again() -> None:
    vendor = Vendor()
    rounds = 0

    async def sell(connection: ServerConnection) -> None:
        nonlocal rounds
        rounds += 1
        await vendor.sell(connection)
        if rounds == 1:
            await connection.send(status("slow_consumer", "Disconnected due to slow consumer"))
            await connection.close(1008)
        await connection.wait_closed()

    async with recording(sell, patience=BRISK) as run:
        dropped = (await run.said("dropped")).values()
        await run.said("gap")
    assert dropped["words"] == "Disconnected due to slow consumer"
    assert "fewer channels" in str(dropped["advice"])
    assert run.kept.gaps()[0].reason.endswith("was closed with 1008")


async def test_another_complaint_of_the_service_is_passed_on() -> None:
    vendor = Vendor(sold=())

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.send(status("error", "Subscription limit reached for feed."))
        await connection.wait_closed()

    async with recording(sell) as run:
        said = (await run.said("error")).values()
    assert said == {"message": "the service says: Subscription limit reached for feed."}


async def test_a_service_that_does_not_greet_is_given_up() -> None:
    async def silence(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with recording(silence, patience=BRISK) as run:
        assert await run.fails() == "no greeting came within 0.2 s"


async def test_a_service_that_is_not_there_is_said_in_one_sentence() -> None:
    run = Run("ws://127.0.0.1:9", ("T.MSFT",), Patience(), Kept())
    assert await run.fails() == "could not reach ws://127.0.0.1:9: connection refused"


async def test_a_refused_connection_is_said_with_its_status_and_words() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.FORBIDDEN, '{"error":"Unknown API Key"}')

    async with recording(Vendor().sell, process_request=refuse) as run:
        assert (await run.fails()).endswith("/stocks refused the connection with 403 Unknown API Key")


async def test_a_service_that_does_not_even_shake_hands_is_given_up() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        origin = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await Run(origin, ("T.MSFT",), BRISK, Kept()).fails() == (
            f"could not reach {origin}: no answer in time"
        )


async def test_a_ping_of_the_service_is_answered_and_both_are_kept() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await (await connection.ping(b"alive?"))
        await connection.send(TRADE)
        await connection.wait_closed()

    async with recording(sell) as run:
        await run.until_events(1)
    assert run.kept.controls() == [(Sender.SERVER, PING, b"alive?"), (Sender.CLIENT, PONG, b"alive?")]


async def test_a_quiet_line_is_asked_for_a_sign_of_life_and_kept() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.wait_closed()

    async with recording(sell, patience=LISTENING) as run:
        await run.said("quiet")
    assert run.kept.controls()[:2] == [(Sender.CLIENT, PING, b""), (Sender.SERVER, PONG, b"")]
    assert not run.kept.gaps()


async def test_a_line_that_gives_no_sign_of_life_is_lost() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with recording(sell, patience=LISTENING) as run:
        assert (await run.said("lost")).values()["reason"] == "no sign of life came for 0.1 s"
    assert run.kept.closes() == [(None, 1001)]


async def test_text_that_is_no_utf_8_is_kept_as_it_came() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        await connection.send(b"\xff\xfe", text=True)
        await connection.wait_closed()

    async with recording(sell) as run:
        await run.until_events(1)
    last = [record for record in run.kept.records if isinstance(record, Frame)][-1]
    assert (last.opcode, last.payload) == (TEXT, b"\xff\xfe")


async def test_what_cannot_be_kept_is_not_said() -> None:
    vendor = Vendor()
    kept = Kept(refuses="subscribe")
    async with recording(vendor.sell, kept=kept) as run:
        with pytest.raises(StorageError):
            await asyncio.wait_for(run.task, 10)
    assert vendor.heard == [f'{{"action":"auth","params":"{KEY}"}}']


async def test_what_came_just_before_the_end_is_kept() -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        for _ in range(1_000):
            await connection.send(TRADE)
        await connection.close()

    async with recording(sell) as run:
        await run.said("lost")
    assert run.kept.frames(Sender.SERVER).count(TRADE) == 1_000


@pytest.mark.parametrize(
    ("cut", "noted"),
    [
        (b"\x81\x7e\x03\xe8" + b"x" * 400, "opcode 1, 400 of 1000 bytes came"),
        (b"\x82\x7f" + (40 << 20).to_bytes(8, "big"), "opcode 2, 0 of 41943040 bytes came"),
    ],
)
async def test_a_message_that_is_not_finished_or_too_large_is_noted_with_its_opcode_and_size(
    cut: bytes, noted: str
) -> None:
    vendor = Vendor()

    async def sell(connection: ServerConnection) -> None:
        await vendor.sell(connection)
        connection.transport.write(cut)
        connection.transport.close()

    async with recording(sell) as run:
        lost = await run.said("lost")
    (closed, *_) = [each for each in run.kept.records if isinstance(each, TrackClosed)]
    assert closed.reason.endswith(f"a message of the service is not finished: {noted}")
    too_large = "more than a recording holds" in getattr(lost, "reason", "")
    assert too_large == bool([each for each in run.notices if each.kind == "error"]) == ("opcode 2" in noted)
