"""The pytest plugin: the marker ``cassette`` and the fixtures ``market``, ``market_env`` and ``market_options``.

It is loaded wherever tickdeck is installed, so it imports nothing of ours before a
fixture is used but the machine's clocks, which no test has touched yet, and nothing
happens in a test that does not ask for one.
"""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tickdeck.watch.realtime  # noqa: F401 - while the clocks are the machine's

if TYPE_CHECKING:
    from tickdeck.testing.recordings import RecordRun
    from tickdeck.testing.runs import PlayRun

    Run = PlayRun | RecordRun

_RUN: pytest.StashKey[Run] = pytest.StashKey()
_FAILED: pytest.StashKey[bool] = pytest.StashKey()

MARKER = (
    "cassette(*paths, speed='max', record_for='30s', on_unplayed='ignore', strict=True, **options): "
    "the market of this test; paths are looked for in cassettes/ beside it, options are those of MockServer"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--tickdeck`` and ``--tickdeck-force``."""
    group = parser.getgroup("tickdeck", "cassettes of market data")
    group.addoption(
        "--tickdeck",
        choices=("play", "record-missing", "record", "record-rest"),
        default="play",
        help="play cassettes (the default), or record from the service: those that are missing, all, or REST alone",
    )
    group.addoption(
        "--tickdeck-force",
        action="store_true",
        help="a new cassette replaces the old one also where a channel has lost all its events",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", MARKER)
    pytest.register_assert_rewrite("tickdeck.mockserver.happenings")


def pytest_report_header() -> str | None:
    """A variable ``TICKDECK_*`` that nothing reads; looked into only where there is one at all."""
    if not any(name.startswith("TICKDECK_") for name in os.environ):
        return None
    from tickdeck import cli, variables
    from tickdeck.watch.printable import one_line

    sentence = variables.unknown(os.environ, cli.VERBS, cli.verb_called)
    return f"tickdeck: {one_line(sentence)}" if sentence else None


@pytest.fixture(scope="session")
def market_options() -> dict[str, Any]:
    """Options for every market: override it in any scope. ``upstream_http`` and ``upstream_ws`` are for recording."""
    return {}


@pytest.fixture
def market(
    request: pytest.FixtureRequest, market_options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A market on a free port: the cassette of this test behind a real server, or a recorder before the service."""
    from tickdeck.cassette.errors import TickdeckError
    from tickdeck.testing.suite import run_of

    node = request.node
    marker = node.get_closest_marker("cassette")
    is_async = inspect.iscoroutinefunction(inspect.unwrap(node.obj)) if hasattr(node, "obj") else False
    folder, failure = _folder(tmp_path_factory), ""
    try:
        run = run_of(
            test_file=Path(str(node.path)),
            node_id=node.nodeid,
            names=[node.name, getattr(node, "originalname", None) or node.name],
            given=() if marker is None else marker.args,
            marked={} if marker is None else marker.kwargs,
            options=market_options,
            mode=request.config.getoption("--tickdeck"),
            force=request.config.getoption("--tickdeck-force"),
            folder=folder,
            is_async=is_async,
        )
    except (TickdeckError, OSError) as error:
        failure = f"{type(error).__name__}: {error}"
    if failure:  # here, so that it is said once
        _forget(folder)
        pytest.fail(failure, pytrace=False)
    node.stash[_RUN] = run
    failed = True
    try:
        yield run.market
        failed = node.stash.get(_FAILED, False)
        late = run.findings()
        if late and not failed:
            from tickdeck.testing.runs import told

            failed = True
            pytest.fail(f"after the test: {told(late)}", pytrace=False)
    finally:
        del node.stash[_RUN]  # pytest keeps every test until the end
        if note := run.stop(keep=failed):
            node.user_properties.append(("tickdeck", note))
        if not failed:
            _forget(folder)


def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Where the run of a test is kept; none where nothing can be written: a test does not fail of that."""
    try:
        return tmp_path_factory.mktemp("tickdeck", numbered=True)
    except OSError:
        return None


def _forget(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def market_env(market: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables that known clients read, set to this market: addresses, no proxy, a key, a CA if it has one."""
    from tickdeck.testing.suite import variables_of

    variables = variables_of(market)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """What went wrong at the market fails the test, though the bot may have swallowed it."""
    result = yield
    run = item.stash.get(_RUN, None)
    if run is not None and (found := [*run.findings(), *run.unplayed()]):
        from tickdeck.testing.runs import told

        pytest.fail(told(found), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failing test's report says what happened at its market."""
    report = yield
    run = item.stash.get(_RUN, None)
    if run is not None and report.when == "call":
        item.stash[_FAILED] = not report.passed
        if report.failed:
            report.sections.append(("tickdeck", run.story()))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What became of recordings."""
    reports = [each for found in terminalreporter.stats.values() for each in found]
    notes = [
        f"{report.nodeid}: {note}"
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, note in report.user_properties
        if name == "tickdeck"
    ]
    if notes:
        terminalreporter.section("tickdeck")
        for note in notes:
            terminalreporter.line(note)
