"""A market around one test, played from a cassette: started, judged, told of, stopped."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tickdeck.cassette.files import open_cassettes
from tickdeck.cassette.making import make_cassette
from tickdeck.cassette.readable import Readable
from tickdeck.cassette.text import records_from_lines
from tickdeck.dialects import find
from tickdeck.mockserver.handles import AwaitedMarket, PlainMarket
from tickdeck.mockserver.harness import MockServer
from tickdeck.mockserver.journal import Scratch
from tickdeck.mockserver.misses import LEFT_ASIDE
from tickdeck.testing.settings import LINES, Settings, Unplayed
from tickdeck.testing.story import Story
from tickdeck.testing.tapes import Tape

MOST_SHOWN: Final = 10
"""Findings of one kind that are told one by one."""


class UnplayedWarning(UserWarning):
    """Recorded REST answers were never asked for (``on_unplayed="warn"``)."""


class PlayRun:
    """One test's server. ``market`` is its handle, awaited in an async test."""

    def __init__(
        self, cassettes: Sequence[Path | Tape], settings: Settings, *, journal: Path | None, is_async: bool
    ) -> None:
        """``journal`` is where the run is kept, unless the settings name a place or there is none."""
        self._settings = settings
        self._journal = None if journal is None or "journal" in settings.play else Scratch(journal)
        self._beside = journal
        self._made: list[Path] = []
        self._told: Counter[str] = Counter()
        self._stack = ExitStack()
        try:
            self._cassette = self._opened(cassettes)
            server = MockServer(self._cassette, **{"journal": self._journal, **settings.play})
            plain = self._stack.enter_context(server)
        except BaseException:
            self._stack.close()
            raise
        self.market: PlainMarket | AwaitedMarket = AwaitedMarket.beside(plain) if is_async else plain
        self._plain = plain

    def _opened(self, cassettes: Sequence[Path | Tape]) -> Readable:
        self._files = [self._in_a_file(each) for each in cassettes]
        return self._stack.enter_context(open_cassettes(self._files))

    def _in_a_file(self, given: Path | Tape) -> Path:
        """Where a cassette is; one that is made for this test lies beside its journal, and is kept when that is."""
        if isinstance(given, Path) and given.suffix != LINES:
            return given
        stem = f"tape-{len(self._made) + 1}" if isinstance(given, Tape) else given.stem
        path = self._beside_journal().with_name(f"{stem}.cassette")
        while path in (self._beside, *self._made):
            path = path.with_stem(f"{path.stem}-{len(self._made) + 1}")
        self._made.append(path)
        return given.write(path) if isinstance(given, Tape) else packed(given, path)

    def _beside_journal(self) -> Path:
        if self._beside is None:
            folder = Path(tempfile.mkdtemp(prefix="tickdeck-"))
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            self._beside = folder / "run.cassette"
        return self._beside

    # -- what is made of it

    def findings(self) -> list[str]:
        """What is wrong and was not told before, a sentence each; empty where the test is not strict."""
        if not self._settings.strict:
            return []
        found, told = list(self._found()), self._told.copy()
        self._told = Counter(found)
        new = []
        for sentence in found:
            if told[sentence]:
                told[sentence] -= 1
            else:
                new.append(sentence)
        return new

    def _found(self) -> Iterator[str]:
        market = self._plain
        error = market.failure()
        if error is not None:
            yield f"the server failed: {error}"
        for miss in market.misses():
            yield f"a request was not on the cassette: {self._advised(miss)}"
        for each in market.journal.missteps:
            yield f"{each.doer} made a misstep ({each.parts['misstep']}): {each.parts['detail']}"

    def _advised(self, miss: Mapping[str, object]) -> str:
        """The sentence of a miss, with the marker where it has flags."""
        sentence, rules = str(miss["sentence"]), miss.get("ignore")
        if not isinstance(rules, list):
            return sentence
        return sentence.partition(LEFT_ASIDE)[0] + LEFT_ASIDE + self._settings.marker_ignoring(rules)

    def unplayed(self) -> list[str]:
        """What of the recorded REST answers is a failure for not having been asked for; a warning is given here."""
        if self._settings.on_unplayed is Unplayed.IGNORE:
            return []
        left = self._plain.report()["unplayed"]
        assert isinstance(left, list)
        if not left:
            return []
        sentence = f"recorded, and never asked for: {', '.join(left[:MOST_SHOWN])}"
        if len(left) > MOST_SHOWN:
            sentence += f" and {len(left) - MOST_SHOWN} more"
        if self._settings.on_unplayed is Unplayed.FAIL:
            return [sentence]
        warnings.warn(sentence, UnplayedWarning, stacklevel=2)
        return []

    def story(self) -> str:
        """What a failing test's report says of it."""
        market, teller = self._plain, Story(self._cassette, self._plain)
        lines = list(teller.lines())
        advised = [self._advised(miss) for miss in market.misses() if "ignore" in miss]
        lines += list(dict.fromkeys(advised))[:MOST_SHOWN]
        lines += self._kept_at(teller.spot())
        return "\n".join(lines)

    def _kept_at(self, spot: str) -> list[str]:
        path = self._settings.play.get("journal")
        if path is None:
            if self._journal is None:
                return ["the run could not be kept: there is no temporary folder"]
            if self._journal.failure is not None:
                return [f"the run could not be kept: {self._journal.failure}"]
            path = os.fspath(self._journal)
        question = shlex.join(["tickdeck", "why", *map(str, self._files), str(path), spot])
        return [f"the run is kept: {path}", *([f"  {question}"] if spot else [])]

    def stop(self, *, keep: bool) -> str:
        """The server stops; of its journal nothing is left, unless it is to be kept. What it failed of, in words."""
        self._stack.close()
        if not keep:
            for path in (*([] if self._journal is None else [Path(self._journal)]), *self._made):
                path.unlink(missing_ok=True)
        if self._journal is None or self._journal.failure is None:
            return ""
        return f"the run could not be kept: {self._journal.failure}"


def told(findings: Sequence[str]) -> str:
    """Findings as the reason of a failure."""
    shown = list(findings[:MOST_SHOWN])
    if len(findings) > MOST_SHOWN:
        shown.append(f"and {len(findings) - MOST_SHOWN} more")
    return "\n".join(shown)


def packed(lines: Path, target: Path) -> Path:
    """A cassette of the lines of ``tickdeck pack``; UsageError names the line that cannot be understood."""
    with lines.open(encoding="utf-8") as file:
        header, records = records_from_lines(file)
        make_cassette(target, header, records, replace=False, places=find(header.dialect).places)
    return target
