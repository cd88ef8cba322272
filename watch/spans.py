"""How long something took, many times: kept in buckets, so that hours of it take no more room than seconds.

A bucket is a sixteenth of its value wide, whatever the value. So a percentile is known
to a sixteenth, which is more than a clock on a busy machine is worth, and the buckets
of a Prometheus histogram can be told afterwards, at any bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_SUB: Final = 4
"""Bits of a span that are kept below its highest: buckets are 1/16 wide."""


class Spans:
    """Durations in whole nanoseconds, none below zero."""

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.sum_ns = 0
        self.max_ns = 0

    def add(self, span_ns: int, times: int = 1) -> None:
        """It took so long, ``times`` times."""
        bucket = _bucket(span_ns)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += times
        self.sum_ns += span_ns * times
        if span_ns > self.max_ns:
            self.max_ns = span_ns

    def merge(self, other: Spans) -> None:
        """Add another's."""
        for bucket, times in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += other.count
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)

    def percentile(self, percent: int) -> int:
        """The span, in ns, that ``percent`` % of them did not exceed, rounded up by at most 1/16; 0 without any."""
        rank = -(-self.count * percent // 100)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(_bucket_top(bucket), self.max_ns)
        return 0

    def at_most(self, bounds_ns: Sequence[int]) -> list[int]:
        """For each bound (they rise), how many did not exceed it, as far as a sixteenth tells: never too many."""
        waiting = sorted(self._buckets.items())
        counts, total, at = [], 0, 0
        for bound_ns in bounds_ns:
            while at < len(waiting) and min(_bucket_top(waiting[at][0]), self.max_ns) <= bound_ns:
                total += waiting[at][1]
                at += 1
            counts.append(total)
        return counts


def _bucket(value: int) -> int:
    shift = max(value.bit_length() - _SUB - 1, 0)
    return (shift << (_SUB + 1)) + (value >> shift)


def _bucket_top(bucket: int) -> int:
    shift, mantissa = bucket >> (_SUB + 1), bucket & ((1 << (_SUB + 1)) - 1)
    return ((mantissa + 1) << shift) - 1
