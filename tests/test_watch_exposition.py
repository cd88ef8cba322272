"""The text that Prometheus reads, held to the parser of its own Python client."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tickdeck.watch.exposition import Family, Kind, counter, exposition, gauge, histogram
from tickdeck.watch.spans import Spans

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(0, 2**53) | st.floats(allow_nan=False)


def parsed(families: list[Family]) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(exposition(families))}


def test_the_text_is_what_the_format_says() -> None:
    text = exposition(
        [counter("a_total", "What rises.", 3), gauge("b", "One\nand \\.", {'x"y': 0.5}, label="of")]
    )
    assert text == (
        "# HELP a_total What rises.\n# TYPE a_total counter\na_total 3\n"
        '# HELP b One\\nand \\\\.\n# TYPE b gauge\nb{of="x\\"y"} 0.5\n'
    )


@given(TEXT, st.dictionaries(TEXT, NUMBERS, min_size=1, max_size=4))
def test_what_a_parser_reads_is_what_was_told(meaning: str, numbers: dict[str, float]) -> None:
    family = parsed([gauge("some_bytes", meaning, numbers, label="of")])["some_bytes"]
    assert family.type == "gauge"
    assert {sample.labels["of"]: sample.value for sample in family.samples} == numbers


@given(st.lists(st.integers(0, 10**11), max_size=40))
def test_the_buckets_of_a_histogram_add_up_for_a_parser(values: list[int]) -> None:
    spans = Spans()
    for value in values:
        spans.add(value)
    family = parsed([histogram("held_seconds", "How long.", {"stocks": spans}, label="market")])[
        "held_seconds"
    ]
    assert family.type == "histogram"
    assert all(sample.labels["market"] == "stocks" for sample in family.samples)
    buckets = [sample for sample in family.samples if sample.name == "held_seconds_bucket"]
    bounds = [float(sample.labels["le"]) for sample in buckets]
    assert bounds == sorted(bounds)
    assert bounds[-1] == math.inf
    counts = [sample.value for sample in buckets]
    assert counts == sorted(counts)
    told = {sample.name: sample.value for sample in family.samples}
    assert counts[-1] == told["held_seconds_count"] == len(values)
    assert told["held_seconds_sum"] == pytest.approx(sum(values) / 1e9)


def test_numbers_that_are_none_have_their_names() -> None:
    values = {"a": math.inf, "b": -math.inf, "c": math.nan}
    text = exposition([gauge("x", "X.", values, label="of")])
    assert [line.split()[1] for line in text.splitlines()[2:]] == ["+Inf", "-Inf", "NaN"]


def test_half_a_character_does_not_end_the_text() -> None:
    assert 'of="?"' in exposition([gauge("x", "X.", {"\ud800": 1}, label="of")])


def test_a_family_without_numbers_is_left_out() -> None:
    assert exposition([gauge("x", "X.", {}, label="of"), histogram("y_seconds", "Y.", {}, label="of")]) == ""


@pytest.mark.parametrize(
    ("name", "kind"), [("a", Kind.COUNTER), ("a_total", Kind.GAUGE), ("A b", Kind.GAUGE)]
)
def test_a_name_that_says_something_else_is_refused(name: str, kind: Kind) -> None:
    with pytest.raises(ValueError, match="is no name of a"):
        Family(name, kind, "", ())
