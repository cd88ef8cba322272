"""The garbage collector while a verb runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tickdeck.collector import rare_full_collections

OBJECTS = 700 * 10 * 60
"""Enough for sixty collections of the middle generation at Python's thresholds."""


@contextmanager
def full_collections() -> Iterator[list[str]]:
    seen: list[str] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(phase)

    gc.callbacks.append(look)
    try:
        yield seen
    finally:
        gc.callbacks.remove(look)


@pytest.mark.parametrize("running", [True, False])
def test_what_a_new_socket_needs_makes_no_full_collection_while_a_verb_runs(running: bool) -> None:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    try:
        with ExitStack() as stack:
            if running:
                stack.enter_context(rare_full_collections())
            with full_collections() as seen:
                objects: list[list[object]] = [[] for _ in range(OBJECTS)]
        assert len(objects) == OBJECTS
        assert (seen == []) is running
        assert gc.get_threshold() == (700, 10, 10)
    finally:
        gc.set_threshold(*before)
