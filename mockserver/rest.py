"""A client's REST request: who asks, what was recorded, what is answered."""

from __future__ import annotations

import uuid
from typing import Final

from aiohttp import web

from tickdeck.cassette.records import Interaction
from tickdeck.dialects.origins import Service
from tickdeck.dialects.refusals import NO_KEY, Refusal, bad_key, not_recorded
from tickdeck.mockserver.answers import Answer, answer_of
from tickdeck.mockserver.asked import Asked, Rules
from tickdeck.mockserver.delivery import Delivery, response_of
from tickdeck.mockserver.httprules import body_of, plain_body
from tickdeck.mockserver.journal import Entry
from tickdeck.mockserver.misses import Miss
from tickdeck.mockserver.playhead import Mode
from tickdeck.mockserver.refusing import Refusals
from tickdeck.mockserver.repeats import Repeats, Timing
from tickdeck.mockserver.restlatency import Latency, RestLatency, latency_at, waits_of
from tickdeck.mockserver.shelf import Found, Shelf
from tickdeck.mockserver.shiftedrequest import moved_back
from tickdeck.mockserver.stage import Stage
from tickdeck.mockserver.stubbing import stubs_of
from tickdeck.mockserver.timeline import Timeline

MISSES_KEPT: Final = 10_000
"""Misses that are reported one by one; more of them are counted."""


class RestDesk:
    """Answers requests from the shelf."""

    def __init__(self, stage: Stage) -> None:
        self.asked = 0
        self.delivery = Delivery()
        self._stage = stage
        self._secret = stage.dialect.places.query_parameters
        options = stage.options
        rules = Rules.of(stage.dialect, ignored=options.ignored, bound=options.matched)
        self.stubs = stubs_of(options.stubs, rules=rules)
        interactions = list(stage.cassette.interactions())
        self._refusals = Refusals(interactions, stage.dialect)
        self._shelf = Shelf(
            interactions, rules=rules, zero_ns=stage.tapes.zero_ns, aside=self._refusals.numbers
        )
        self.service = Service(stage.cassette.header.origins, stage.dialect.origins)
        self.reset()

    def reset(self) -> None:
        """As if nobody had asked yet."""
        self.stubs.reset()
        self._shelf.reset()
        self._refusals.reset()
        self.asked = 0
        self.misses: list[dict[str, object]] = []
        self._missed = 0
        self._served = 0
        self._variants = 0
        self._refused = 0
        self._stubbed = 0
        self.missteps = 0
        """Of requests; those of sockets are in the books of their clients."""

    async def answer(self, request: web.BaseRequest, *, own: str) -> web.StreamResponse:
        """The response; ``own`` is this server's origin as the client spells it."""
        came_ns = self._stage.clock.now_ns()
        body = await body_of(request)
        if body:
            self._stage.secrets.learn(url=request.raw_path, headers=request.raw_headers, body=body)
        self.asked += 1
        plain = plain_body(request.raw_headers, body)
        asked = Asked.of(request.method, request.raw_path, headers=request.raw_headers, body=plain)
        self._look_for_secrets(request, asked)
        key = self._stage.dialect.key_of(request.query.items(), request.raw_headers)
        if key is None or not self._stage.keys.accepts(key):
            return self._refuse_key(request, asked, key, own=own)
        timeline = self._stage.timelines.of(key)
        if (stub := self.stubs.find(asked)) is not None:
            self._stubbed += 1
            self._stage.note([self._entry("request", asked, timeline, status=stub.status, stub=True)])
            return response_of(Answer(stub.status, "", stub.headers, stub.body))
        latency = latency_at(timeline.speed, self._stage.options.rest_latency)
        found = self._find(asked, timeline, latency)
        if isinstance(found, Miss):
            return self._miss(asked, timeline, found)
        if found.variant:
            self._variants += 1
        else:
            self._served += 1
        self._stage.fix_time()
        answer = self._made(found.interaction, request, own=own)
        said = {"trouble": answer.trouble, "variant": found.variant}
        parts: dict[str, object] = {name: words for name, words in said.items() if words}
        parts["recording"] = found.interaction.seq
        self._stage.note([self._entry("request", asked, timeline, status=answer.status, **parts)])
        cap_ns = self._stage.options.idle_cap_ns
        waits = waits_of(found.interaction, latency, speed=timeline.speed, cap_ns=cap_ns)
        return await self.delivery.send(request, answer, waits, clock=self._stage.clock, came_ns=came_ns)

    def _miss(self, asked: Asked, timeline: Timeline, miss: Miss) -> web.StreamResponse:
        """In the shape of the service's 404, and counted."""
        self._missed += 1
        if len(self.misses) < MISSES_KEPT:
            self.misses.append(self._missing(asked, miss))
        surplus = {"ignore": list(miss.surplus)} if miss.surplus else {}
        self._stage.note([self._entry("miss", asked, timeline, sentence=miss.sentence, **surplus)])
        return _refuse(not_recorded(self._stage.secrets.clean(miss.sentence)))

    def _refuse_key(
        self, request: web.BaseRequest, asked: Asked, key: str | None, *, own: str
    ) -> web.StreamResponse:
        """As it was recorded; where no refusal was, in the profile's words."""
        self._refused += 1
        recorded = self._refusals.next(key) if self._stage.options.profile is None else None
        refusal = bad_key(self._stage.wording.bad_key) if key else NO_KEY
        status = refusal.http if recorded is None else recorded.status
        self._stage.note([self._entry("request", asked, None, status=status)])
        if recorded is None:
            return _refuse(refusal)
        self._shelf.served(recorded)
        return response_of(self._made(recorded, request, own=own))

    def _look_for_secrets(self, request: web.BaseRequest, asked: Asked) -> None:
        found = self._stage.dialect.misplaced_secret(request.query.items(), request.raw_headers)
        if found is not None:
            self.missteps += 1
            said = {"misstep": found.kind, "detail": found.detail}
            self._stage.note([self._entry("misstep", asked, None, **said)])

    def _made(self, recorded: Interaction, request: web.BaseRequest, *, own: str) -> Answer:
        """What a recording comes to for this client."""
        shifter = self._stage.shifter
        return answer_of(
            recorded,
            mover=None if shifter is None else shifter.mover,
            method=request.method,
            accept_encoding=request.headers.get("Accept-Encoding"),
            origins=self.service.for_client(own),
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many requests came to what."""
        return {
            "served": self._served,
            "variant": self._variants,
            "stubbed": self._stubbed,
            "refused": self._refused,
            "missed": self._missed,
        }

    def report(self) -> dict[str, object]:
        """Requests served, refused and missed, and what was never asked for."""
        unplayed = [
            f"{each.method} {self._shown(Asked.of(each.method, each.url))}" for each in self._shelf.unplayed()
        ]
        return {
            "requests": self.counts,
            "misses": list(self.misses),
            "unplayed": unplayed,
            "unused_stubs": self.stubs.unused(),
        }

    def _missing(self, asked: Asked, miss: Miss) -> dict[str, object]:
        """A miss as the report has it."""
        row: dict[str, object] = {
            "asked": f"{asked.method} {self._shown(asked)}",
            "sentence": miss.sentence,
        }
        return {**row, "ignore": list(miss.surplus)} if miss.surplus else row

    def _find(self, asked: Asked, timeline: Timeline, latency: Latency) -> Found | Miss:
        """What answers a request as it would have been asked on the recorded day, else as it is asked."""
        back = self._moved_back(asked)
        if back == asked or self._shelf.look_up(back) is not None:
            return self._look_up(back, timeline, latency)
        found = self._look_up(asked, timeline, latency)
        missed = self._look_up(back, timeline, latency) if isinstance(found, Miss) else found
        return missed if isinstance(missed, Miss) and missed.surplus else found

    def _moved_back(self, asked: Asked) -> Asked:
        shifter = self._stage.shifter
        if shifter is None:
            return asked
        self._stage.fix_time()
        return asked if shifter.mover is None else moved_back(asked, shifter.mover)

    def _look_up(self, asked: Asked, timeline: Timeline, latency: Latency) -> Found | Miss:
        stage = self._stage
        in_order = timeline.speed.mode is Mode.MAX or stage.tapes.empty
        return self._shelf.find(
            asked,
            repeats=stage.options.repeats or (Repeats.IN_ORDER if in_order else Repeats.BY_TIME),
            position_ns=max(timeline.elapsed(stage.clock.now_ns()), stage.tapes.begin_ns),
            visits=timeline.visits,
            timing=self._timing(timeline, latency),
        )

    def _timing(self, timeline: Timeline, latency: Latency) -> Timing:
        """What by-time goes by. A tape that stands will not have gone on by when a slow answer comes."""
        stage = self._stage
        if not timeline.started:
            warms_up = stage.tapes.begin_ns == 0 and stage.options.repeats is None
            return Timing.WARM_UP if warms_up else Timing.ENDED
        moves = latency is RestLatency.RECORDED and not timeline.head.paused
        return Timing.BEGAN if moves else Timing.ENDED

    def _shown(self, asked: Asked) -> str:
        """Path and query without its secrets."""
        pairs = [f"{name}={value}" for name, value in asked.query if name.lower() not in self._secret]
        return asked.path + ("?" + "&".join(pairs) if pairs else "")

    def _entry(self, kind: str, asked: Asked, timeline: Timeline | None, **parts: object) -> Entry:
        now_ns = self._stage.clock.now_ns()
        return Entry(
            kind,
            now_ns,
            position_ns=self._stage.timelines.playhead(now_ns)
            if timeline is None
            else timeline.position(now_ns),
            timeline=None if timeline is None else timeline.number,
            parts={"method": asked.method, "url": self._shown(asked), **parts},
        )


def _refuse(refusal: Refusal) -> web.Response:
    request_id = uuid.uuid4().hex
    return web.Response(
        status=refusal.http,
        body=refusal.body(request_id),
        headers=refusal.headers(request_id),
    )
