"""Durations in buckets: what is told of them is never far from what they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.watch.spans import Spans

NANOSECONDS = st.lists(st.integers(0, 10**12), max_size=60)


def spans_of(values: list[int]) -> Spans:
    spans = Spans()
    for value in values:
        spans.add(value)
    return spans


@given(NANOSECONDS.filter(bool), st.integers(1, 100))
def test_a_percentile_is_at_most_a_sixteenth_above_the_truth(values: list[int], percent: int) -> None:
    exact = sorted(values)[-(-len(values) * percent // 100) - 1]
    assert exact <= spans_of(values).percentile(percent) <= exact + exact // 16


@given(NANOSECONDS, st.lists(st.integers(0, 10**12), max_size=8).map(sorted))
def test_what_lies_below_a_bound_is_never_too_many_and_misses_a_sixteenth_at_most(
    values: list[int], bounds: list[int]
) -> None:
    counts = spans_of(values).at_most(bounds)
    assert counts == sorted(counts)
    for bound, count in zip(bounds, counts, strict=True):
        assert sum(value + value // 16 <= bound for value in values) <= count
        assert count <= sum(value <= bound for value in values)


@given(NANOSECONDS, NANOSECONDS)
def test_merging_is_adding_each(first: list[int], second: list[int]) -> None:
    merged, whole = spans_of(first), spans_of(first + second)
    merged.merge(spans_of(second))
    assert (merged.count, merged.sum_ns, merged.max_ns) == (whole.count, whole.sum_ns, whole.max_ns)
    assert merged.at_most([10**power for power in range(12)]) == whole.at_most(
        [10**power for power in range(12)]
    )


def test_many_of_one_length_are_added_at_once() -> None:
    spans = Spans()
    spans.add(1000, 3)
    assert (spans.count, spans.sum_ns, spans.max_ns) == (3, 3000, 1000)
    assert spans.percentile(99) == 1000


def test_of_nothing_there_is_nothing() -> None:
    assert Spans().percentile(99) == 0
    assert Spans().at_most([1, 2]) == [0, 0]
