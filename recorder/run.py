"""A recording from its first byte to its seal: what is started, what ends it, and what is said on the way."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tickdeck.cassette.disk import DISK, Disk
from tickdeck.cassette.errors import RecordingError, TickdeckError
from tickdeck.cassette.places import segments_of
from tickdeck.cassette.recording import Recording
from tickdeck.cassette.records import Header
from tickdeck.cassette.redaction import Redactor
from tickdeck.cassette.spots import prepare
from tickdeck.dialects import find
from tickdeck.dialects.origins import Service
from tickdeck.recorder.addresses import host_of, origin
from tickdeck.recorder.capture import Numbers
from tickdeck.recorder.clock import SECOND_NS, Clock
from tickdeck.recorder.continuing import Before, before
from tickdeck.recorder.heartbeat import Heartbeat
from tickdeck.recorder.meters import Meters, flow_of, metrics_of
from tickdeck.recorder.notices import (
    Kept,
    Lost,
    Metrics,
    Notice,
    Notify,
    Progress,
    Recovered,
    Report,
    Trouble,
    Unreached,
    cleaned,
)
from tickdeck.recorder.only import Only
from tickdeck.recorder.options import Options
from tickdeck.recorder.own_pages import OwnPages, OwnPort
from tickdeck.recorder.proxy import Proxy, server_log
from tickdeck.recorder.quietlogs import redacted_logs
from tickdeck.recorder.rest_client import fetch
from tickdeck.recorder.rotation import Rotation
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.upstream import Upstream
from tickdeck.recorder.verdicts import verdict_on
from tickdeck.recorder.ways import Ways, dialect_hosts

if TYPE_CHECKING:
    from tickdeck.recorder.client import SocketClient

__all__ = ["Options", "Recorder"]

PROGRESS_EVERY_NS: Final = SECOND_NS

_LOG: Final = logging.getLogger("tickdeck.recorder")


class Recorder:
    """One recording. ``run`` is all of it; ``request_stop`` ends it from outside (a signal handler may)."""

    def __init__(
        self, options: Options, *, notify: Notify, clock: Clock | None = None, disk: Disk = DISK
    ) -> None:
        options.check()
        self._options = options
        self._tell = notify
        self._clock = clock or Clock()
        self._disk = disk
        self._stopping = asyncio.Event()
        self._meters = Meters()
        known = (*options.secrets, *([options.key] if options.key else []))
        self._dialect = dialect = find(options.dialect)
        self._before = before(Path(options.output)) if options.append else None
        taken = () if self._before is None else self._before.placeholders
        self._redactor = Redactor(dialect.places, known=known, taken=taken)
        prepare(dialect.places)
        self._http = origin(options.upstream_http or dialect.upstream_http, schemes=("http", "https"))
        self._ws = origin(options.upstream_ws or dialect.upstream_ws(options.feed), schemes=("ws", "wss"))
        self._service = Service((self._http, self._ws), dialect.origins)
        self._ways = Ways(
            self._http,
            self._ws,
            hosts=dialect_hosts(dialect),
            http_is_fixed=options.upstream_http is not None,
            ws_is_fixed=options.upstream_ws is not None,
        )
        self.log = server_log(self.notify, self._clock, clean=self._redactor.clean_text)
        self._client: SocketClient | None = None
        self._proxy: Proxy | None = None
        self._outside: TickdeckError | None = None
        self._unreached: str | None = None
        self._recording: Recording | Rotation | None = None
        self._only = Only(options.only, dialect.indexer) if options.only else None
        self._intake: Intake | None = None
        self.failed_because: str | None = None
        """What ended the recording from outside, where that is a failure: a word for the report."""
        self.keeps_at_end = True
        """Whether the end of the recording is a reason to keep what a ring holds."""

    def request_keep(self) -> tuple[str, ...] | None:
        """Keep what the ring holds now, as segments that are not removed any more; ``None`` without a ring."""
        rotation = self._recording
        if not isinstance(rotation, Rotation) or rotation.limits.ring_ns is None or self._intake is None:
            return None
        self._intake.turn()
        kept = rotation.keep()
        self.notify(Kept(kept))
        return kept

    def request_stop(self) -> None:
        """End the recording soon: sockets are closed, at once, and then the cassette is sealed."""
        self._stopping.set()
        if self._proxy is not None:
            self._proxy.close_sockets()

    @property
    def by_name(self) -> tuple[str, ...]:
        """The origins of the vendor, and of the upstreams given: whoever asks for one by name asks for us."""
        return self._service.origins

    @property
    def _note(self) -> str:
        """The user's, and that frames are missing, if they are."""
        left_out = f"only {', '.join(self._options.only)}: frames without an event on it were left out"
        return "; ".join(filter(None, (self._options.note, left_out if self._options.only else "")))

    def fail(self, error: TickdeckError) -> None:
        """End the recording soon, for a reason from outside, which `run` raises; nothing recorded leaves no file."""
        self._outside = error
        self.request_stop()

    async def run(self) -> Report:
        """Record until something ends it, and seal.

        Raises what ended it, if that was an error, once everything that was captured
        is safe and the report has been given: UsageError, RecordingError, StorageError.
        """
        with redacted_logs(self._redactor.clean_text):
            start_ns, wall_ns = self._clock.now_ns(), self._clock.wall_ns()
            earlier = self._before
            for left in earlier.recovered if earlier is not None else ():
                self.notify(Recovered(left.output, left.records))
            recording = self._recording = self._begin(
                start_ns, wall_ns if earlier is None else earlier.epoch_ns
            )
            if earlier is not None:
                # The wall clock says how long nobody recorded; but no offset lies before the last one.
                start_ns -= max(wall_ns - earlier.epoch_ns, earlier.last_offset_ns + 1)
            intake = self._intake = Intake(
                recording,
                self._clock,
                start_ns=start_ns,
                learner=self._dialect.learner,
                secrets=self._redactor,
                meters=self._meters,
                on_failure=lambda error: self.request_stop(),
                rotation=recording if isinstance(recording, Rotation) else None,
                only=self._only,
                after=_numbers(earlier),
            )
            try:
                failure = await self._record(intake, recording)
            except BaseException:  # cancelled, or a defect: what was captured is sealed all the same
                self._finish(recording, intake, None)
                raise
            sealed, failure = self._finish(recording, intake, failure)
            report = self._report(intake, recording, sealed=sealed, failure=failure)
            self.notify(report)
            if failure is not None:
                raise type(failure)(self._redactor.clean_text(str(failure))) from failure
            return report

    def _begin(self, now_ns: int, epoch_ns: int) -> Recording | Rotation:
        options = self._options
        header = Header(
            epoch_ns=epoch_ns,
            dialect=options.dialect,
            origins=(self._http, self._ws),
            note=self._note,
            tool=f"tickdeck {version('tickdeck')}",
            program=options.program,
        )

        def begin(path: str | os.PathLike[str]) -> Recording:
            return Recording.create(
                path,
                header,
                redactor=self._redactor,
                replace=options.replace,
                continues=options.limits.any or options.append,
                sync_s=options.sync_ns / SECOND_NS,
                opener=self._disk,
            )

        if not options.limits.any and self._before is None:
            return begin(options.output)
        return Rotation(
            Path(options.output),
            options.limits,
            begin=begin,
            removes=self._disk.unlink,
            now_ns=now_ns,
            last_number=0 if self._before is None else self._before.segment,
        )

    async def _record(self, intake: Intake, recording: Recording | Rotation) -> TickdeckError | None:
        """Until the first of these is over: the work, the time, the wish to go on."""
        failure: TickdeckError | None = None
        pages = OwnPages(
            lambda: metrics_of(intake.counts, recording.stats, self._meters, self._redactor.redactions),
            host=self._options.listen_host,
            keep=self.request_keep,
        )
        port = OwnPort(pages)
        upstream = Upstream(self._ways, clock=self._clock, trust_env=self._options.trust_env)
        tasks = [
            asyncio.create_task(self._stopping.wait()),
            asyncio.create_task(self._tick(intake, recording)),
            asyncio.create_task(self._time_is_up()),
        ]
        try:
            if self._options.metrics is not None:
                self.notify(Metrics(await port.start(*self._options.metrics)))
            if self._options.is_client:
                tasks.append(asyncio.create_task(self._ask(upstream, intake)))
            else:
                self._proxy = proxy = Proxy(
                    upstream,
                    intake,
                    self._clock,
                    service=self._service,
                    market_of=self._market_of,
                    feed_of=self._dialect.feed_of,
                    advice=self._dialect.advice,
                    notify=self.notify,
                    pages=pages,
                    log=self.log,
                )
                self.notify(await proxy.start(self._options.listen_host, self._options.listen_port))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except TickdeckError as error:
            failure = error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._stopping.set()
            try:
                if self._proxy is not None:
                    await self._proxy.stop()
            finally:
                await upstream.close()
                await port.stop()
        return intake.failure or failure or self._outside

    async def _ask(self, upstream: Upstream, intake: Intake) -> None:
        options = self._options
        key = options.key or ""
        await fetch(
            options.gets, key=key, upstream=upstream, intake=intake, clock=self._clock, notify=self.notify
        )
        if options.subscribe:
            # Only here is `websockets` of use: a proxy is not to wait for its import.
            from tickdeck.recorder.client import SocketClient, Wanted

            wanted = Wanted(
                origin=self._ws,
                market=options.market,
                feed=self._dialect.feed_of(host_of(self._ws)) or options.feed,
                dialogue=partial(self._dialect.dialogue, key, options.subscribe),
                seed=options.seed,
                trust_env=options.trust_env,
            )
            self._client = SocketClient(
                wanted, intake, self._clock, notify=self.notify, patience=options.patience
            )
            await self._client.run()

    def _market_of(self, path: str) -> str:
        return self._dialect.market_of(path) or path.strip("/") or self._dialect.default_market

    async def _tick(self, intake: Intake, recording: Recording | Rotation) -> None:
        next_ns = self._clock.now_ns()
        heartbeat = Heartbeat(next_ns, self._clock.wall_ns())
        while True:
            next_ns += PROGRESS_EVERY_NS
            await self._clock.wait_until(next_ns)
            now_ns = self._clock.now_ns()
            said = heartbeat.beat(now_ns, self._clock.wall_ns(), due_ns=next_ns)
            next_ns = max(next_ns, now_ns - PROGRESS_EVERY_NS)
            for notice in said:
                self.notify(notice)
            intake.anchor(at_once=bool(said))
            counts = intake.counts
            self.notify(
                Progress(
                    frames=counts.frames,
                    bytes=counts.bytes,
                    interactions=counts.interactions,
                    tracks=counts.tracks,
                    tracks_open=counts.tracks_open,
                    pauses=recording.stats.pauses,
                    flow=flow_of(recording.stats, intake.meters),
                )
            )

    async def _time_is_up(self) -> None:
        now_ns = self._clock.now_ns()
        ends = []
        if self._options.for_ns is not None:
            ends.append(now_ns + self._options.for_ns)
        if self._options.until_wall_ns is not None:
            ends.append(now_ns + self._options.until_wall_ns - self._clock.wall_ns())
        if not ends:
            await self._stopping.wait()
        else:
            await self._clock.wait_until(min(ends))

    def _finish(
        self, recording: Recording | Rotation, intake: Intake, failure: TickdeckError | None
    ) -> tuple[bool, TickdeckError | None]:
        """Seal what there is, or leave it for `recover`; whether it was sealed, and what went wrong.

        Of a recording without a frame and without an answer nothing is left.
        """
        if intake.counts.empty:
            self._remove(recording)
            if failure is None and self._unreached is not None and not intake.counts.tracks:
                failure = RecordingError(self._unreached)
            return False, failure
        try:
            recording.seal()
            if isinstance(recording, Rotation):
                self._close_ring(recording)
        except TickdeckError as error:
            recording.abandon()
            kept = f"{failure or error}; what was recorded until then is in {recording.part.name}"
            return False, type(failure or error)(kept)
        return True, failure

    def _remove(self, recording: Recording | Rotation) -> None:
        recording.abandon()
        for path in (recording.part, *segments_of(recording.part)):
            self._disk.unlink(path)
        if isinstance(recording, Rotation):
            recording.forget_sealed()

    def _close_ring(self, rotation: Rotation) -> None:
        if self._options.limits.ring_ns is None:
            return
        if self.keeps_at_end:
            self.notify(Kept(rotation.keep()))
        rotation.drop()

    def _report(
        self, intake: Intake, recording: Recording | Rotation, *, sealed: bool, failure: TickdeckError | None
    ) -> Report:
        counts = intake.counts
        standing = self._client.standing if self._client is not None else None
        events = standing is not None and bool(standing.events)
        asked = self._proxy is not None and bool(self._proxy.asked)
        verdict = "" if failure else verdict_on(self._options, counts, events=events, asked=asked)
        because = verdict.replace(" ", "_") if failure is None else failure.because
        return Report(
            path=recording.pattern if isinstance(recording, Rotation) else os.fspath(self._options.output),
            left_out=0 if self._only is None else self._only.left_out,
            segments=recording.names if isinstance(recording, Rotation) and not counts.empty else (),
            sealed=sealed,
            frames=counts.frames,
            bytes=counts.bytes,
            interactions=counts.interactions,
            tracks=counts.tracks,
            gaps=counts.gaps,
            pauses=recording.stats.pauses,
            errors=self._meters.errors,
            refused=tuple(standing.refused) if standing else (),
            unacknowledged=tuple(standing.unacknowledged) if standing else (),
            redactions={name: dict(places) for name, places in self._redactor.redactions.items()},
            warnings=tuple(self._redactor.warnings),
            verdict=verdict,
            failed_because=self.failed_because or because or None,
            flow=flow_of(recording.stats, intake.meters),
        )

    def notify(self, notice: Notice) -> None:
        """Say something of this recording, without its secrets."""
        if isinstance(notice, Unreached) and not self._stopping.is_set():
            self._unreached = notice.message
        self._meters.errors += isinstance(notice, Trouble)
        self._meters.reconnects += isinstance(notice, Lost)
        said = cleaned(notice, self._redactor.clean_text)
        _LOG.debug("%s %s", said.kind, said.values())
        self._tell(said)


def _numbers(earlier: Before | None) -> Numbers:
    return Numbers() if earlier is None else Numbers(earlier.next_seq, earlier.tracks, earlier.interactions)
