"""WebSockets through the recorder: connected upstream first, so that a refusal can be given as it came."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from multidict import CIMultiDict

from tickdeck.cassette.errors import RecordingError, StorageError
from tickdeck.cassette.records import Sender
from tickdeck.recorder.addresses import authority, host_of
from tickdeck.recorder.capture import Opening
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.forwarding import accepted_upgrade, protocols_of, sent_upstream
from tickdeck.recorder.line import MAX_MESSAGE, Line
from tickdeck.recorder.notices import Dropped, Notify, TrackEnded, TrackStarted, Trouble
from tickdeck.recorder.passing import AS_IT_CAME
from tickdeck.recorder.relay import Relay
from tickdeck.recorder.rest_proxy import RestProxy, exchange_of, unreachable
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.unfinished import overhear
from tickdeck.recorder.upstream import Upgrade, UpgradeRefused, Upstream
from tickdeck.watch.handshakes import has_key, without_unknown_subprotocols


class SocketProxy:
    """Answers every upgrade."""

    def __init__(
        self,
        upstream: Upstream,
        intake: Intake,
        clock: Clock,
        *,
        rest: RestProxy,
        market_of: Callable[[str], str],
        feed_of: Callable[[str], str],
        advice: Callable[[bytes], tuple[str, str] | None] = lambda words: None,
        notify: Notify,
    ) -> None:
        self._upstream = upstream
        self._intake = intake
        self._clock = clock
        self._rest = rest
        self._market_of = market_of
        self._feed_of = feed_of
        self._advice = advice
        self._notify = notify
        self._relays: set[Relay] = set()
        self._stopping = False

    def stop(self) -> None:
        """Close every socket with 1001, on both sides, and those that are being made. A signal handler may call it."""
        self._stopping = True
        for relay in self._relays:
            relay.stop()

    def cut(self) -> None:
        """End every socket without a word."""
        for relay in self._relays:
            relay.upstream.cut()
            relay.client.cut()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One connection, from its handshake to its end."""
        if not has_key(request) or not _socket(()).can_prepare(request):
            return web.Response(status=400, text="this is no WebSocket handshake that RFC 6455 allows\n")
        started_ns = self._clock.now_ns()
        origin = self._upstream.ways.ws_for(request.headers.get("Host"))
        headers = sent_upstream(request.raw_headers, host=authority(origin))
        try:
            upgrade = await self._upstream.upgrade(
                request.raw_path,
                headers=headers,
                protocols=protocols_of(request.raw_headers),
                origin=origin,
            )
        except RecordingError as error:
            return unreachable(error, self._notify)
        except UpgradeRefused as refusal:
            url = origin + request.raw_path
            exchange = exchange_of(
                refusal.response, started_ns, method=request.method, url=url, request_headers=headers
            )
            self._intake.interaction(exchange)
            return await self._rest.answer(request, exchange)
        try:
            return await self._relay(request, upgrade, origin)
        finally:
            await upgrade.release()

    async def _relay(self, request: web.BaseRequest, upgrade: Upgrade, origin: str) -> web.StreamResponse:
        answered = upgrade.response.raw_headers
        opening = Opening(
            market=self._market_of(request.path),
            feed=self._feed_of(host_of(origin)),
            url=origin + request.raw_path,
            request_headers=sent_upstream(request.raw_headers, host=authority(origin)),
            response_headers=answered,
        )
        upstream = upgrade.line(self._clock)
        track = self._intake.track_opened(opening)
        self._notify(TrackStarted(track, opening.market))
        socket = _socket((upgrade.socket.protocol,) if upgrade.socket.protocol else ())
        accepted = accepted_upgrade(answered)
        socket[AS_IT_CAME] = frozenset(name.lower() for name, _ in accepted)
        for name, value in accepted:
            socket.headers.add(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        transport = request.transport
        headers = overhear(transport, already=getattr(request.protocol, "_message_tail", b""))
        try:
            await socket.prepare(request)
        except ConnectionError:
            self._intake.track_closed(track, by=Sender.CLIENT, code=None)
            return socket
        client = Line(socket, transport, self._clock, masks=False, headers=headers)
        relay = Relay(track, upstream, client, self._intake)
        self._relays.add(relay)
        if self._stopping:
            relay.stop()
        try:
            end = await relay.run()
            meant = self._advice(relay.last_words) if relay.ended_by is Sender.SERVER else None
            if meant is not None:
                self._notify(Dropped(track, opening.market, *meant))
            if relay.breach:
                self._notify(Trouble(f"socket {track} ({opening.market}): {relay.breach}"))
            self._notify(TrackEnded(track, opening.market, end.code, end.reason))
        except StorageError:
            pass  # the intake has said so; both sides lose the connection
        finally:
            self._relays.discard(relay)
        return socket


class _QuietSocket(web.WebSocketResponse[bool]):
    """aiohttp's part of a socket, which logs nothing that a client sent."""

    def _handshake(self, request: web.BaseRequest) -> tuple[CIMultiDict[str], str | None, int, bool]:
        return super()._handshake(without_unknown_subprotocols(request, self._protocols))


def _socket(protocols: tuple[str, ...]) -> web.WebSocketResponse[bool]:
    return _QuietSocket(
        protocols=protocols,
        autoping=False,
        autoclose=False,
        compress=False,
        max_msg_size=MAX_MESSAGE,
        writer_limit=0,
        decode_text=False,
    )
