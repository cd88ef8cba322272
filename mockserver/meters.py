"""The numbers of a run as Prometheus has them: what `views` answers in JSON, for those who watch from outside."""

from __future__ import annotations

import math

from tickdeck.mockserver.playhead import MAX, Speed
from tickdeck.mockserver.rest import RestDesk
from tickdeck.mockserver.stage import Stage
from tickdeck.watch.exposition import Family, counter, gauge, histogram


def metrics_of(stage: Stage, desk: RestDesk) -> list[Family]:
    """All of them; what is counted begins anew with `reset`, as after a start."""
    sent, now_ns = stage.sent(), stage.clock.now_ns()
    timelines = {str(each.number): each for each in stage.timelines}
    return [
        gauge("tickdeck_player_clients", "Sockets connected now.", len(stage.connections)),
        counter("tickdeck_player_clients_total", "Sockets that came so far.", stage.clients),
        counter("tickdeck_player_frames_total", "Frames of the tape sent, over all clients.", sent.frames),
        counter(
            "tickdeck_player_sent_bytes_total", "Bytes sent on sockets, answers included.", sent.wire_bytes
        ),
        counter(
            "tickdeck_player_missteps_total", "What clients did wrong.", sent.missteps_made + desk.missteps
        ),
        counter(
            "tickdeck_player_requests_total",
            "REST requests, by what became of them; variant: recorded with other fields; missed: not on the cassette.",
            desk.counts,
            label="outcome",
        ),
        gauge(
            "tickdeck_player_playhead_seconds",
            "Position of each timeline, from the zero of the tape.",
            {name: each.position(now_ns) / 1e9 for name, each in timelines.items()},
            label="timeline",
        ),
        gauge(
            "tickdeck_player_speed_ratio",
            "Tape seconds a second of each timeline; 0 while it stands, +Inf at max.",
            {name: _ratio(each.speed, each.started and each.head.paused) for name, each in timelines.items()},
            label="timeline",
        ),
        histogram(
            "tickdeck_player_lateness_seconds",
            "How long after their time frames were handed to the socket, where the tape has a pace.",
            stage.lateness(),
        ),
        counter("tickdeck_player_chunks_decoded_total", "Chunks decoded so far.", stage.tapes.decoded),
    ]


def _ratio(speed: Speed, paused: bool) -> float:
    """Driven (step, lockstep) it stands by itself."""
    if speed == MAX and not paused:
        return math.inf
    return float(speed.factor) if speed.paced and not paused else 0.0
