"""The service's REST answers, as it documents or sends them, before and after they are moved in time."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.dialects.moments import Shift
from tickdeck.dialects.resttimes import KEYS, any_body, moved_body

NEW_YORK = ZoneInfo("America/New_York")
A_WEEK = Shift(7 * 86_400_000, 7, NEW_YORK)
AN_HOUR = Shift(3_600_000, None, NEW_YORK)

BODIES = [
    (  # aggregates, with an address that stays
        (
            b'{"ticker":"AAPL","queryCount":1,"resultsCount":1,"adjusted":true,"results":[{"v":70790813,"vw":131.6292,'
            b'"o":130.465,"c":130.15,"h":133.41,"l":129.89,"t":1673240400000,"n":645365}],"status":"OK",'
            b'"request_id":"6a7e466379af0a71039d60cc78e72282","count":1,'
            b'"next_url":"https://api.polygon.io/v2/aggs/ticker/AAPL/range/1/day/1578114000000/2020-01-10?cursor=bGltaXQ9Mg"}'
        ),
        (
            b'{"ticker":"AAPL","queryCount":1,"resultsCount":1,"adjusted":true,"results":[{"v":70790813,"vw":131.6292,'
            b'"o":130.465,"c":130.15,"h":133.41,"l":129.89,"t":1673845200000,"n":645365}],"status":"OK",'
            b'"request_id":"6a7e466379af0a71039d60cc78e72282","count":1,'
            b'"next_url":"https://api.polygon.io/v2/aggs/ticker/AAPL/range/1/day/1578114000000/2020-01-10?cursor=bGltaXQ9Mg"}'
        ),
    ),
    (  # v3 trades
        (
            b'{"results":[{"conditions":[12,41],"exchange":11,"id":"1","participant_timestamp":1517562000015577000,'
            b'"price":171.55,"sequence_number":1063,"sip_timestamp":1517562000016036600,"size":100,"tape":3,'
            b'"trf_timestamp":1517562000016036000}]}'
        ),
        (
            b'{"results":[{"conditions":[12,41],"exchange":11,"id":"1","participant_timestamp":1518166800015577000,'
            b'"price":171.55,"sequence_number":1063,"sip_timestamp":1518166800016036600,"size":100,"tape":3,'
            b'"trf_timestamp":1518166800016036000}]}'
        ),
    ),
    (  # v2 last trade
        (
            b'{"results":{"T":"AAPL","c":[37],"f":1617901342969796400,"i":"118749","p":129.8473,"q":3135876,"r":202,'
            b'"s":25,"t":1617901342969834000,"x":4,"y":1617901342968000000,"z":3},"status":"OK"}'
        ),
        (
            b'{"results":{"T":"AAPL","c":[37],"f":1618506142969796400,"i":"118749","p":129.8473,"q":3135876,"r":202,'
            b'"s":25,"t":1618506142969834000,"x":4,"y":1618506142968000000,"z":3},"status":"OK"}'
        ),
    ),
    (  # a snapshot: ns and ms beside each other, a price that is called open, and one that is an integer
        (
            b'{"ticker":{"day":{"c":120.4229,"o":119.62},"lastQuote":{"P":120.47,"S":4,"p":120.46,"s":8,'
            b'"t":1605195918507251700},"lastTrade":{"p":120.47,"s":236,"t":1605195918306274000,"x":10},'
            b'"min":{"av":28724441,"t":1684428600000},"updated":1605195918306274000,"open":120}}'
        ),
        (
            b'{"ticker":{"day":{"c":120.4229,"o":119.62},"lastQuote":{"P":120.47,"S":4,"p":120.46,"s":8,'
            b'"t":1605800718507251700},"lastTrade":{"p":120.47,"s":236,"t":1605800718306274000,"x":10},'
            b'"min":{"av":28724441,"t":1685033400000},"updated":1605800718306274000,"open":120}}'
        ),
    ),
    (  # v1 last
        b'{"last":{"askexchange":11,"askprice":14.79,"timestamp":1518086601843},"status":"success","symbol":"AAPL"}\n\n',
        b'{"last":{"askexchange":11,"askprice":14.79,"timestamp":1518691401843},"status":"success","symbol":"AAPL"}\n\n',
    ),
    (  # historic ticks, with a map of names that are keys elsewhere
        (
            b'{"ticker":"AAPL","map":{"t":{"name":"sip_timestamp","type":"int64"}},"results":[{"t":1517562000065700400,'
            b'"y":1517562000065321200,"q":2060,"c":[1],"z":3}]}'
        ),
        (
            b'{"ticker":"AAPL","map":{"t":{"name":"sip_timestamp","type":"int64"}},"results":[{"t":1518166800065700400,'
            b'"y":1518166800065321200,"q":2060,"c":[1],"z":3}]}'
        ),
    ),
    (  # indicators
        b'{"results":{"underlying":{"url":"https://x/2"},"values":[{"timestamp":1517562000016,"value":140.139}]}}',
        b'{"results":{"underlying":{"url":"https://x/2"},"values":[{"timestamp":1518166800016,"value":140.139}]}}',
    ),
    (  # the market's state
        b'{"market":"extended-hours","serverTime":"2020-11-10T17:37:37-05:00","exchanges":{"nyse":"open"}}',
        b'{"market":"extended-hours","serverTime":"2020-11-17T17:37:37-05:00","exchanges":{"nyse":"open"}}',
    ),
    (  # holidays
        b'[{"close":"2020-11-27T18:00:00.000Z","date":"2020-11-27","exchange":"NASDAQ","open":"2020-11-27T14:30:00.000Z"}]',
        b'[{"close":"2020-12-04T18:00:00.000Z","date":"2020-12-04","exchange":"NASDAQ","open":"2020-12-04T14:30:00.000Z"}]',
    ),
    (  # open and close of a day
        b'{"afterHours":322.1,"close":325.12,"from":"2023-01-09","open":324.66,"status":"OK","symbol":"AAPL"}',
        b'{"afterHours":322.1,"close":325.12,"from":"2023-01-16","open":324.66,"status":"OK","symbol":"AAPL"}',
    ),
    (  # the same of a coin
        b'{"close":11050.64,"day":"2020-10-09T00:00:00Z","openTrades":[{"p":10932.44,"t":1602201600056}]}',
        b'{"close":11050.64,"day":"2020-10-16T00:00:00Z","openTrades":[{"p":10932.44,"t":1602806400056}]}',
    ),
    (  # news, with a quoted date in its text
        rb'{"results":[{"title":"\"t\":1517562000016,\"from\":\"AUD\"","published_utc":"2024-06-24T18:33:53Z"}]}',
        rb'{"results":[{"title":"\"t\":1517562000016,\"from\":\"AUD\"","published_utc":"2024-07-01T18:33:53Z"}]}',
    ),
    (  # futures
        (
            b'{"results":[{"window_start":1734484219000000000,"session_end_date":"2024-12-18",'
            b'"bid_timestamp":1734476400000000000}]}'
        ),
        (
            b'{"results":[{"window_start":1735089019000000000,"session_end_date":"2024-12-25",'
            b'"bid_timestamp":1735081200000000000}]}'
        ),
    ),
]

STAYING = [
    b'{"results":[{"cash_amount":0.22,"declaration_date":"2021-10-28","ex_dividend_date":"2021-11-05","pay_date":"2021-11-11"}]}',
    b'{"results":{"list_date":"1980-12-12","expiration_date":"2021-11-19","filing_date":"2022-05-03"}}',
    b'{"from":"AUD","to":"USD","converted":73.14,"initialAmount":100}',
    b'{"status":"ERROR","request_id":"5578b7a54cd0cfb5d5f4f8e1a1a3a0a0","error":"Unknown API Key"}',
    b'{"t":null,"y":12,"f":1.5e18,"timestamp":"soon","date":"","open":-1673240400000,"close":1673240400000.5}',
    b"t\n1673240400000\n",
    b'{"x":"\\\\","from":"2023-01-09',
    b'{"from":"2023-01-09',
    b"\xff{",
    b"",
]


@pytest.mark.parametrize("move", [moved_body, any_body])
@pytest.mark.parametrize(("before", "after"), BODIES)
def test_the_moments_of_an_answer_move_and_nothing_else(move: object, before: bytes, after: bytes) -> None:
    assert callable(move)
    assert move(before, A_WEEK) == after


@pytest.mark.parametrize("move", [moved_body, any_body])
@pytest.mark.parametrize("body", STAYING)
def test_facts_and_prices_stay(move: object, body: bytes) -> None:
    assert callable(move)
    assert move(body, A_WEEK) == body


def test_dates_stay_where_the_shift_is_not_whole_days() -> None:
    body = b'{"from":"2023-01-09","t":1673240400000,"serverTime":"2020-11-10T17:37:37-05:00"}'
    moved = b'{"from":"2023-01-09","t":1673244000000,"serverTime":"2020-11-10T18:37:37-05:00"}'
    assert moved_body(body, AN_HOUR) == moved


def test_spaces_stay_as_they_are() -> None:
    assert moved_body(b'{ "t" :\t1673240400000 }', AN_HOUR) == b'{ "t" :\t1673244000000 }'


VALUES = st.recursive(
    st.one_of(
        st.integers(-(10**13), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
        st.none(),
        st.text(alphabet='t":{},1 é', max_size=12),
        st.sampled_from([*KEYS, "2020-01-02", "2020-01-02T09:31:05-05:00"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*KEYS, "c", "tt", "T"]), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:")]))
def test_the_quick_way_through_a_body_is_that_of_every_body(
    value: object, separators: tuple[str, str]
) -> None:
    body = json.dumps(value, ensure_ascii=False, separators=separators).encode()
    assert moved_body(body, A_WEEK) == any_body(body, A_WEEK)


@given(VALUES)
def test_a_moved_body_differs_only_under_the_keys_of_the_table(value: object) -> None:
    moved = json.loads(moved_body(json.dumps(value).encode(), A_WEEK))
    assert _outside(moved) == _outside(value)


def _outside(value: object) -> object:
    """The value with what the table's keys hold, if it is no container, left out."""
    if isinstance(value, list):
        return [_outside(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _outside(each) if key not in KEYS or isinstance(each, (list, dict)) else "left out"
        for key, each in value.items()
    }
