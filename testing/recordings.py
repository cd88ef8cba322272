"""A market around one test that is recorded: the real service, behind a recorder.

The new cassette is written aside. It takes the place of the old one when the test has
passed, and not if a channel has lost all its events: then the market was closed, most
likely, and the old one is worth more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from tickdeck.cassette.errors import TickdeckError, UsageError, said_by_us
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import BodyPart, Interaction, Record
from tickdeck.mockserver.controls import WaitTimeoutError
from tickdeck.mockserver.happenings import Happenings
from tickdeck.mockserver.harness import MockServer
from tickdeck.mockserver.loops import RealTimeLoop
from tickdeck.recorder.notices import Listening, Notice, Trouble
from tickdeck.recorder.run import Options, Recorder
from tickdeck.testing.settings import Settings
from tickdeck.watch.realtime import REAL

LOOK_EVERY_S: Final = 0.02
MOST_SHOWN: Final = 5
__tracebackhide__ = said_by_us


class RecordingMarket:
    """What a test has in ``market`` while its cassette is recorded.

    There is no playhead: what waits for the tape waits until ``record_for`` has passed,
    and what drives it is refused. Claims about the journal are not checked.
    """

    is_recording = True
    ca_file = None

    def __init__(self, http_url: str, ws_url: str, feed: str, *, key: str, record_for_s: float) -> None:
        self.http_url = http_url
        self.ws_url = ws_url
        self.feed = feed
        self.key = key
        self.port = int(feed.rpartition(":")[2])
        self._ends_s = REAL.monotonic() + record_for_s
        self._ended = threading.Event()

    @property
    def journal(self) -> Happenings:
        """Nothing."""
        return Happenings()

    def misses(self) -> list[dict[str, object]]:
        """None: the service answers."""
        return []

    @contextmanager
    def use_market_time(self) -> Iterator[None]:
        """Market time is now."""
        yield

    def assert_subscribed(self, *channels: str) -> None:
        """Not checked."""

    def assert_requested(self, request: str, *, times: int | None = None) -> None:
        """Not checked."""

    def assert_no_missteps(self) -> None:
        """Not checked."""

    def wait_until(self, predicate: Callable[[], object], *, timeout: float | None = None) -> None:
        """Until ``predicate()`` is true; `WaitTimeoutError` once ``record_for`` has passed."""
        while not predicate():
            if REAL.monotonic() >= self._ends_s:
                raise WaitTimeoutError(
                    "what was waited for did not come while it was recorded; see record_for"
                )
            self._ended.wait(LOOK_EVERY_S)

    def _wait_for_the_end(self, *_: object, **__: object) -> None:
        """Until ``record_for`` has passed."""
        self._ended.wait(max(self._ends_s - REAL.monotonic(), 0))

    wait_started = wait_subscribed = wait_for = wait_delivered = wait_finished = wait_left = _wait_for_the_end

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise UsageError(
            "a recording has no playhead: this can be done while playing only (see market.is_recording)"
        )

    pause = resume = speed = seek = step = burst = drop = stub = refuse_keys = send = reset = _refuse


class AwaitedRecordingMarket(RecordingMarket):
    """The same in an async test: what waits is awaited."""

    async def wait_until(self, predicate: Callable[[], object], *, timeout: float | None = None) -> None:  # type: ignore[override]  # of another colour
        """Until ``predicate()`` is true; `WaitTimeoutError` once ``record_for`` has passed."""
        while True:
            found = predicate()
            if (await found) if asyncio.iscoroutine(found) else found:
                return
            if REAL.monotonic() >= self._ends_s:
                raise WaitTimeoutError(
                    "what was waited for did not come while it was recorded; see record_for"
                )
            await self._pause(LOOK_EVERY_S)

    async def _awaited_end(self, *_: object, **__: object) -> None:
        while (left_s := self._ends_s - REAL.monotonic()) > 0:
            await self._pause(min(left_s, LOOK_EVERY_S))

    async def _pause(self, seconds: float) -> None:
        """In a thread: the test may have frozen the clock of its own loop."""
        await asyncio.to_thread(self._ended.wait, seconds)

    wait_started = wait_subscribed = wait_for = wait_delivered = wait_finished = wait_left = _awaited_end  # type: ignore[assignment]


class RecordRun:
    """One test's recorder. With ``only_rest`` sockets are played from the old cassette, whose tracks stay."""

    def __init__(
        self, home: Path, settings: Settings, *, key: str, force: bool, only_rest: bool, is_async: bool
    ) -> None:
        self._home = home
        self._force = force
        self._only_rest = only_rest
        self._aside = home.with_name(f"{home.stem}.new{home.suffix}")
        self._stack = ExitStack()
        home.parent.mkdir(parents=True, exist_ok=True)
        options = Options(
            self._aside,
            replace=True,
            listen_port=0,
            program="pytest",
            secrets=(key,) if len(key) > 1 else (),
            **settings.upstream,  # type: ignore[arg-type]  # two origins
        )
        self._recorder = _Recorder(options)
        try:
            listening = self._recorder.start()
            ws_url, feed = listening.ws, listening.feed
            if only_rest:
                played = self._stack.enter_context(MockServer(home, **settings.play))
                ws_url, feed = played.ws_url, played.feed
        except BaseException:
            self._recorder.stop()
            raise
        kind = AwaitedRecordingMarket if is_async else RecordingMarket
        self.market: RecordingMarket = kind(
            listening.http, ws_url, feed, key=key, record_for_s=settings.record_for_s
        )

    def findings(self) -> list[str]:
        """What could not be recorded."""
        return self._recorder.take_troubles()

    def unplayed(self) -> list[str]:
        """Nothing: it is being recorded."""
        return []

    def story(self) -> str:
        """What a failing test's report says of it."""
        return f"recorded from the service; {self._home} stays as it was, for the test did not pass"

    def stop(self, *, keep: bool) -> str:
        """The recorder stops; ``keep``: the test failed, and the old cassette stays. What became of it, in words."""
        self._stack.close()
        try:
            self._recorder.stop()
        except TickdeckError as error:
            return f"nothing was recorded: {error}"
        try:
            if keep:
                return f"the test did not pass; {self._kept()}"
            if self._only_rest:
                _with_rest_of(self._home, self._aside)
            lost = [] if self._force else _lost_channels(self._home, self._aside)
            if lost:
                return f"{', '.join(lost)} (market closed?); {self._kept()} (--tickdeck-force replaces it)"
            self._aside.replace(self._home)
            return f"recorded {self._home}"
        finally:
            self._aside.unlink(missing_ok=True)

    def _kept(self) -> str:
        return f"kept the old {self._home.name}" if self._home.exists() else "no cassette was made"


class _Recorder:
    """A recorder in a thread of its own."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._listening: asyncio.Future[Listening] | None = None
        self._ready = threading.Event()
        self._found: Listening | None = None
        self._error: BaseException | None = None
        self._troubles: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._recorder: Recorder | None = None
        self._thread = threading.Thread(target=self._run, name="tickdeck records", daemon=True)

    def start(self) -> Listening:
        self._thread.start()
        self._ready.wait()
        if self._found is None:
            assert self._error is not None
            raise self._error
        return self._found

    def stop(self) -> None:
        if self._loop is not None and self._recorder is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._recorder.request_stop)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def take_troubles(self) -> list[str]:
        taken, self._troubles = self._troubles, []
        return [f"while recording: {each}" for each in taken]

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=RealTimeLoop) as runner:
                runner.run(self._record())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _record(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._recorder = Recorder(self._options, notify=self._hear)
        await self._recorder.run()

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, Listening):
            self._found = notice
            self._ready.set()
        elif isinstance(notice, Trouble):
            self._troubles.append(notice.message)


def _lost_channels(old: Path, new: Path) -> list[str]:
    """Channels that had events and have none now, a clause each."""
    if not old.exists():
        return []
    had, has = _events(old), _events(new)
    lost = [f"{name} had {events} events, now 0" for name, events in had.items() if not has.get(name)]
    return [*lost[:MOST_SHOWN], f"{len(lost) - MOST_SHOWN} more had some"] if len(lost) > MOST_SHOWN else lost


def _events(path: Path) -> dict[str, int]:
    """How many events of each channel a cassette has."""
    counts: dict[str, int] = {}
    with open_cassette(path) as cassette:
        for track in cassette.survey.tracks.values():
            for name, channel in track.channels.items():
                counts[name] = counts.get(name, 0) + channel.events
    return {name: events for name, events in counts.items() if events}


def _with_rest_of(old: Path, new: Path) -> None:
    """``new`` becomes the tracks of ``old`` with the answers of ``new``, each at its own time since the start."""
    with open_cassette(old) as tracks, open_cassette(new) as answers:
        merged = new.with_name(f"{new.stem}-merged{new.suffix}")
        records = _in_one_order(_without_rest(tracks), _only_rest(answers))
        make_cassette(merged, tracks.header, records, replace=True)
    merged.replace(new)


def _without_rest(cassette: Cassette) -> list[Record]:
    return [each for each in cassette.records() if not isinstance(each, Interaction | BodyPart)]


def _only_rest(cassette: Cassette) -> list[Record]:
    return [each for each in cassette.records() if isinstance(each, Interaction | BodyPart)]


def _in_one_order(*parts: Iterable[Record]) -> Iterator[Record]:
    """By their offsets; those of one part keep their order."""
    together: list[tuple[int, Any]] = []
    for part in parts:
        latest = 0
        for record in part:
            latest = max(latest, record.offset_ns)
            together.append((latest, record))
    together.sort(key=lambda pair: pair[0])
    for seq, (_, record) in enumerate(together):
        yield replace(record, seq=seq)
