"""The recorded REST interactions, ready to be asked.

A recording answers the request that it is a recording of, and no other: `asked` says
what of a request decides that, `variants` which of several recordings of one request
were made as it is asked, `repeats` which of those is due, `misses` what is said where
there is none. The shelf itself remembers only what was never served, for the report.

An interaction whose response never began has no answer to give and is left off the
shelf. One that broke off later is served with what came (`Answer.complete` says so).
Recorded refusals (401, 404, 429 ...) are answers like others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.asked import Asked, RequestKey, Rules
from tickdeck.mockserver.fields import told
from tickdeck.mockserver.misses import Miss, asked_too_often, miss, miss_by_fields
from tickdeck.mockserver.repeats import Repeats, Timing, Visits, choose
from tickdeck.mockserver.variants import Variants

_FIRST_FINAL_STATUS: Final = 200


class Found(NamedTuple):
    """What answers. ``variant`` says which header fields it was made with that the request has not, or is empty."""

    interaction: Interaction
    variant: str = ""


class Shelf:
    """Interactions by request. ``position_ns`` of `find` counts from ``zero_ns``, the offset of the tape's zero.

    Those whose sequence numbers are ``aside`` answer only where nothing else was recorded of a request.
    """

    def __init__(
        self,
        interactions: Iterable[Interaction],
        *,
        rules: Rules,
        zero_ns: int = 0,
        aside: Collection[int] = (),
    ) -> None:
        self._rules = rules
        self._zero_ns = zero_ns
        self._all: dict[int, Interaction] = {}
        grouped: dict[RequestKey, list[Interaction]] = {}
        for interaction in sorted(interactions, key=lambda each: each.seq):
            if interaction.status >= _FIRST_FINAL_STATUS:
                self._all[interaction.seq] = interaction
                grouped.setdefault(rules.key(Asked.recorded(interaction)), []).append(interaction)
        self._variants = {
            key: Variants.of(
                key, [each for each in entries if each.seq not in aside] or entries, chooses=rules.chooses
            )
            for key, entries in grouped.items()
        }
        self._with_blanks = [each for each in self._variants.values() if each.key.has_blanks]
        self._by_path: dict[tuple[str, ...], dict[str, list[Variants]]] = {}
        for key, variants in self._variants.items():
            self._by_path.setdefault(key.path, {}).setdefault(key.method, []).append(variants)
        self.reset()

    def reset(self) -> None:
        """As if nothing had been served yet."""
        self._unplayed = dict(self._all)

    def look_up(self, asked: Asked) -> Variants | None:
        """All recordings of a request; those of GET for a HEAD that was not recorded."""
        key = self._rules.key(asked)
        found = self._look_up(key)
        if found is None and key.method == "HEAD":
            return self._look_up(key._replace(method="GET"))
        return found

    def find(
        self,
        asked: Asked,
        *,
        repeats: Repeats,
        position_ns: int,
        visits: Visits,
        timing: Timing = Timing.ENDED,
    ) -> Found | Miss:
        """The recording that answers, noted in ``visits``; or a `Miss`, which changes nothing."""
        found = self.look_up(asked)
        if found is None:
            return self.miss(asked)
        choice = found.choose(asked)
        if choice is None:
            return miss_by_fields(found, self._rules.key(asked), found.fields(asked))
        offset_ns = position_ns + self._zero_ns
        chosen = choose(choice.recordings, repeats, offset_ns=offset_ns, visits=visits, timing=timing)
        if chosen is None:
            return asked_too_often(choice.recordings)
        self._unplayed.pop(chosen.seq, None)
        return Found(chosen, choice.variant)

    def recordings_of(self, asked: Asked) -> Iterator[tuple[Interaction, str]]:
        """All recordings of a method, path and query, whatever the body, and with which fields they were made."""
        key = self._rules.key(asked)
        for method in (key.method, *(("GET",) if key.method == "HEAD" else ())):
            wanted = key._replace(method=method)
            here = self._by_path.get(key.path, {}).get(method, ())
            known = {each.key: each for each in (*here, *self._with_blanks)}
            groups = [group for each in known.values() if each.key.asks_at(wanted) for group in each.groups]
            for group in groups:
                made = told((*group.key.bound, *group.key.fields), ())
                yield from ((entry, made) for entry in group.entries)
            if groups:
                return

    def miss(self, asked: Asked) -> Miss:
        """Why nothing answers a request of which there is no recording."""
        return miss(self._by_path, self._rules.key(asked))

    def served(self, interaction: Interaction) -> None:
        """One of them answered otherwise than by its request."""
        self._unplayed.pop(interaction.seq, None)

    def unplayed(self) -> tuple[Interaction, ...]:
        """What was never served, in order of recording."""
        return tuple(self._unplayed.values())

    def _look_up(self, key: RequestKey) -> Variants | None:
        found = self._variants.get(key)
        if found is None and self._with_blanks:
            return next((each for each in self._with_blanks if each.key.fits(key)), None)
        return found
