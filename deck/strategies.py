"""Hypothesis strategies for what a market data service says: events, frames, tapes, REST pages.

Fields and their types are those of the vendor's own schema (its ``websocket.json``) and of
what was seen on the wire: an exchange id that is a string, sizes as decimal strings, a
tape number like ``12.0``, nanoseconds of 19 digits where milliseconds are documented,
optional fields that are absent, fields and types that nobody documented, symbols with a
dot. Everything shrinks to the plainest case: one event of one symbol, without quirks.

    @given(tapes())
    def test_bot(tape):
        with played(tape, at_end="close") as market:
            ...
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from tickdeck.dialects.markets import DEFAULT_MARKET
from tickdeck.mockserver.handles import PlainMarket
from tickdeck.mockserver.harness import MockServer
from tickdeck.testing.tapes import Tape

FAILING: Final = Path(".tickdeck") / "failing"
"""Where `played` saves the tape of a test that failed."""

OPENING_MS: Final = 1_577_975_400_000
"""2020-01-02 09:30:00 in New York."""

LARGE: Final = 150
"""Events of a large frame at most, about what one had on the wire."""

SYMBOLS: Final = ("AAPL", "MSFT", "BRK.B")

Event = dict[str, Any]
Events = st.SearchStrategy[Event]
Draw = Callable[[st.SearchStrategy[Any]], Any]

_prices: Final = st.integers(1, 10**6).map(lambda cents: cents / 100)
_sizes: Final = st.integers(1, 10_000)
_moments: Final = st.integers(0, 60_000).map(lambda ms: OPENING_MS + ms)
_conditions: Final = st.lists(st.integers(0, 60), max_size=4)
_decimals: Final = st.integers(0, 10**7).map(lambda part: f"{part / 1000:.6f}".rstrip("0") or "0")


class Fields(NamedTuple):
    """What an event of a topic always has, and what it may have besides."""

    required: Events
    optional: Events = st.just({})

    def events(self, *, quirks: bool) -> Events:
        """Those with the required fields, and with ``quirks`` some of the others."""
        if not quirks:
            return self.required
        return self.required | st.builds(lambda one, other: {**one, **other}, self.required, self.optional)


def _optional(**fields: st.SearchStrategy[Any]) -> Events:
    """Some of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _trades(symbol: st.SearchStrategy[str]) -> Fields:
    required = st.fixed_dictionaries(
        {"ev": st.just("T"), "sym": symbol, "p": _prices, "s": _sizes, "t": _moments}
    )
    exchange = st.integers(1, 20)
    return _with(
        required,
        x=exchange | exchange.map(str),
        i=st.integers(1, 10**6).map(str) | st.integers(1, 10**6),
        z=st.integers(1, 3) | st.just(3.0),
        c=_conditions,
        q=st.integers(1, 10**7),
        pt=_moments,
        ds=_decimals,
        trfi=st.integers(1, 300),
        trft=_moments,
    )


def _quotes(symbol: st.SearchStrategy[str]) -> Fields:
    required = st.fixed_dictionaries(
        {
            "ev": st.just("Q"),
            "sym": symbol,
            "bp": _prices,
            "bs": _sizes,
            "ap": _prices,
            "as": _sizes,
            "t": _moments,
        }
    )
    exchange = st.integers(1, 20)
    return _with(
        required,
        bx=exchange | exchange.map(str),
        ax=exchange | exchange.map(str),
        c=st.integers(0, 60),
        i=_conditions,
        q=st.integers(1, 10**8),
        z=st.integers(1, 3),
    )


def _bars(topic: str, length_ms: int) -> Callable[[st.SearchStrategy[str]], Fields]:
    def bars(symbol: st.SearchStrategy[str]) -> Fields:
        starts = st.integers(0, 10).map(lambda bar: OPENING_MS + bar * length_ms)
        prices = st.fixed_dictionaries({"o": _prices, "c": _prices, "h": _prices, "l": _prices, "v": _sizes})
        required = st.builds(
            lambda name, start, values: {
                "ev": topic,
                "sym": name,
                **values,
                "s": start,
                "e": start + length_ms,
            },
            symbol,
            starts,
            prices,
        )
        return _with(
            required,
            av=_sizes,
            op=_prices,
            vw=_prices,
            a=_prices,
            z=st.integers(1, 500) | st.integers(1, 500).map(float),
            otc=st.just(value=True),
            dv=_decimals,
            dav=_decimals,
        )

    return bars


def _halts(symbol: st.SearchStrategy[str]) -> Fields:
    """``LULD``: the ticker is ``T``; ``t`` is documented in milliseconds, and comes in nanoseconds."""
    nanoseconds = _moments.map(lambda ms: ms * 1_000_000 + 385)
    required = st.fixed_dictionaries(
        {"ev": st.just("LULD"), "T": symbol, "h": _prices, "l": _prices, "t": nanoseconds}
    )
    return _with(required, i=_conditions, z=st.integers(1, 3), q=st.integers(1, 10**6))


def _imbalances(symbol: st.SearchStrategy[str]) -> Fields:
    required = st.fixed_dictionaries(
        {
            "ev": st.just("NOI"),
            "T": symbol,
            "t": _moments.map(lambda ms: ms * 1_000_000),
            "at": st.sampled_from([930, 1600]),
            "a": st.sampled_from("OMHCPR"),
            "o": _sizes,
            "p": _sizes,
            "b": _prices,
        }
    )
    return _with(required, i=st.integers(1, 99), x=st.integers(1, 20))


def _values(topic: str, field: str, name: str = "sym") -> Callable[[st.SearchStrategy[str]], Fields]:
    """Events of one number: ``FMV``, ``LV``, ``V``."""
    return lambda symbol: Fields(
        st.fixed_dictionaries({"ev": st.just(topic), field: _prices, name: symbol, "t": _moments})
    )


def _forex(symbol: st.SearchStrategy[str]) -> Fields:
    pair = symbol.map(lambda name: name.replace("-", "/"))
    required = st.fixed_dictionaries(
        {
            "ev": st.just("C"),
            "p": pair,
            "x": st.integers(1, 99) | st.integers(1, 99).map(str),
            "a": _prices,
            "b": _prices,
            "t": _moments,
        }
    )
    return Fields(required)


def _coins(symbol: st.SearchStrategy[str]) -> Fields:
    required = st.fixed_dictionaries({"ev": st.just("XT"), "pair": symbol, "p": _prices, "t": _moments})
    return _with(
        required,
        s=st.integers(1, 10**6).map(lambda part: part / 10**4),
        c=st.lists(st.integers(0, 2), max_size=1),
        i=st.integers(1, 10**8) | st.integers(1, 10**8).map(str),
        x=st.integers(1, 20),
        r=_moments,
    )


def _books(symbol: st.SearchStrategy[str]) -> Fields:
    side = st.lists(st.tuples(_prices, _prices).map(list), max_size=5)
    required = st.fixed_dictionaries(
        {
            "ev": st.just("XL2"),
            "pair": symbol,
            "b": side,
            "a": side,
            "t": _moments,
            "r": _moments,
            "x": st.integers(1, 9),
        }
    )
    return Fields(required)


_TOPICS: Final[Mapping[str, Mapping[str, Callable[[st.SearchStrategy[str]], Fields]]]] = {
    "stocks": {
        "T": _trades,
        "Q": _quotes,
        "A": _bars("A", 1000),
        "AM": _bars("AM", 60_000),
        "LULD": _halts,
        "NOI": _imbalances,
        "FMV": _values("FMV", "fmv"),
        "LV": _values("LV", "val"),
    },
    "options": {"T": _trades, "Q": _quotes, "A": _bars("A", 1000), "AM": _bars("AM", 60_000)},
    "forex": {"C": _forex},
    "crypto": {"XT": _coins, "XL2": _books},
    "indices": {"V": _values("V", "val", "T"), "AM": _bars("AM", 60_000)},
    "futures": {"T": _trades, "Q": _quotes, "A": _bars("A", 1000)},
}
_NAMES: Final = {
    "stocks": SYMBOLS,
    "options": ("O:SPY241220P00720000", "O:AMC210827C00037000"),
    "forex": ("EUR-USD", "USD-CNH"),
    "crypto": ("BTC-USD", "ETH-USD"),
    "indices": ("I:SPX", "I:NDX"),
    "futures": ("ESZ4", "NQZ4"),
}


def _with(required: Events, **optional: st.SearchStrategy[Any]) -> Fields:
    return Fields(required, _optional(**optional))


def events(
    *topics: str, market: str = DEFAULT_MARKET, symbols: Sequence[str] | None = None, quirks: bool = True
) -> st.SearchStrategy[Event]:
    """Events of these topics (all of the market's, if none is named), as Python has JSON.

    Without ``quirks`` each has the fields that its type always has. With them also optional ones, in every form
    that was seen, fields that nobody documented, and types of events that nobody knows.
    """
    known = _TOPICS[market]
    symbol = st.sampled_from(tuple(symbols or _NAMES[market]))
    documented = st.one_of([known[topic](symbol).events(quirks=quirks) for topic in topics or known])
    if not quirks:
        return documented
    extra = _optional(
        new=st.none() | st.booleans() | st.text(max_size=5), more=st.lists(st.integers(0, 9), max_size=2)
    )
    extended = st.builds(lambda event, more: {**event, **more}, documented, extra)
    unknown = st.fixed_dictionaries({"ev": st.just("ZZ"), "sym": symbol, "val": _prices})
    return documented | extended if topics else documented | extended | unknown


_PRICE: Final = re.compile(r'(?<="p":)(\d+\.\d+)')


def _many(few: list[Event], count: int) -> list[Event]:
    """So many events, of a few in turn: a large frame that costs little to draw, and shrinks to a small one."""
    return [few[at % len(few)] for at in range(count)]


def frames(
    given: st.SearchStrategy[Event] | None = None, *, most: int = 12, quirks: bool = True
) -> st.SearchStrategy[bytes]:
    """Frames as they stand on the wire: of one event, of several kinds mixed, of none, and large ones.

    With ``quirks`` a price may end in a zero (``114.170``), as the wire has it and no float does.
    """
    each = given if given is not None else events(quirks=quirks)
    found = st.lists(each, min_size=0 if quirks else 1, max_size=most)
    if quirks:
        found |= st.builds(_many, st.lists(each, min_size=1, max_size=3), st.integers(1, LARGE))
    text = found.map(lambda each: json.dumps(each, ensure_ascii=False, separators=(",", ":")))
    if quirks:
        text = st.builds(
            lambda said, zero: _PRICE.sub(r"\g<1>0", said) if zero else said, text, st.booleans()
        )
    return text.map(str.encode)


_STATUSES: Final = (
    '[{"ev":"status","status":"success","message":"subscribed to: T.GOOG"}]',
    '[{"ev":"status","status":"error","message":"Subscription limit reached for feed."}]',
    '[{"ev":"status","status":"auth_success","message":"authenticated"}]',
)


@st.composite
def tapes(
    draw: Draw,
    given: st.SearchStrategy[bytes] | None = None,
    *,
    market: str = DEFAULT_MARKET,
    most: int = 12,
    quirks: bool = True,
) -> Tape:
    """Tapes of a market: frames close together or apart, of equal times too.

    With ``quirks`` also losses with a gap behind them, the same frame twice, and statuses at awkward moments.
    """
    tape = Tape(market).at("09:30:00")
    said = given if given is not None else frames(events(market=market, quirks=quirks), quirks=quirks)
    kinds = ["frame", "frame again", "status", "loss"] if quirks else ["frame"]
    last: bytes | None = None
    for _ in range(draw(st.integers(1, most))):
        tape.at(f"+{draw(st.sampled_from([0, 1, 40, 2000]))}ms")
        kind = draw(st.sampled_from(kinds))
        if kind == "status":
            tape.send(draw(st.sampled_from(_STATUSES)))
        elif kind == "loss" and last is not None:
            tape.lose().at(f"+{draw(st.integers(1, 5000))}ms")
        else:
            last = last if kind == "frame again" and last is not None else draw(said)
            tape.send(last)
    return tape


def rest_pages(
    rows: st.SearchStrategy[Event] | None = None, *, path: str = "/v3/trades/AAPL", most: int = 5
) -> st.SearchStrategy[list[Event]]:
    """The pages of one REST query in order: each but the last has a ``next_url``; a page may be empty, or the only one.

    ``count`` and ``results`` may be absent, as they are where nothing was found.
    """
    found = st.lists(
        st.lists(rows if rows is not None else events("T", quirks=False), max_size=most),
        min_size=1,
        max_size=4,
    )

    def pages(parts: list[list[Event]], *, bare: bool) -> list[Event]:
        made: list[Event] = []
        for number, results in enumerate(parts):
            page: Event = {"status": "OK", "request_id": f"{number:032x}"}
            if results or not bare:
                page |= {"results": results, "count": len(results)}
            if number < len(parts) - 1:
                page["next_url"] = f"https://api.massive.com{path}?cursor={number + 1}"
            made.append(page)
        return made

    return st.builds(pages, found, bare=st.booleans())


@contextmanager
def played(tape: Tape, **options: Any) -> Iterator[PlainMarket]:
    """A market that plays a tape at ``max``. What fails within saves the tape as a cassette, and says where.

    Hypothesis ends with its smallest failing case: that is the one that stays.
    """
    path = tape.in_a_file()
    try:
        with MockServer(path, **{"speed": "max", **options}) as market:
            yield market
    except BaseException as error:
        if isinstance(error, Exception):
            kept = _failing_path()
            kept.parent.mkdir(parents=True, exist_ok=True)
            tape.write(kept, replace=True)
            error.add_note(f"the tape is saved: tickdeck cat {kept}, or play it")
        raise
    finally:
        path.unlink()
        path.parent.rmdir()


def _failing_path() -> Path:
    """Named by the test that runs."""
    running = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].rpartition("::")[2]
    return FAILING / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', running) or 'tape'}.cassette"
