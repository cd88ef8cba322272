"""What README.md and docs/ show is what happens.

Fenced blocks in ``console`` are run: each ``$ `` line in bash, all blocks of a page in
one folder, and what comes out is compared with what stands below it (``...`` stands
for anything). A block behind ``<!-- not run: reason -->`` is only read: its tickdeck
lines must be what the command would accept. Python blocks are run, or compiled.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import aiohttp
import pytest

from tickdeck import cli
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.making import make_cassette
from tickdeck.dialects.synth import sample
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.server import Player
from tickdeck.recorder.meters import Flow
from tickdeck.recorder.notices import Notice

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]+?) -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
CONTINUED = "\0"
"""Between the lines of one command, which are shown behind ``> ``."""
SHELLS = ("console", "sh", "bash", "shell")
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


@dataclass(frozen=True)
class Block:
    """One fenced block; ``why`` is the reason not to run it."""

    language: str
    text: str
    why: str | None


def blocks(page):
    return [
        Block(m["language"], m["text"], m["why"]) for m in FENCE.finditer(page.read_text(encoding="utf-8"))
    ]


def commands(block):
    """The commands of a block, each with the output that is shown for it."""
    if block.language != "console":
        return [(line, "") for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
    text = re.sub(r"\n>(?: |(?=\n))", CONTINUED, block.text.replace("\\\n", ""))
    pieces = [piece.partition("\n")[::2] for piece in re.split(r"^\$ ", text, flags=re.M) if piece.strip()]
    return [(command.replace(CONTINUED, "\n"), shown) for command, shown in pieces]


def fits(shown, printed):
    """White space counts as one blank, ``...`` stands for anything."""
    pieces = (re.escape(piece.strip()) for piece in " ".join(shown.split()).split("..."))
    return re.fullmatch(r"\s*.*?\s*".join(pieces), " ".join(printed.split()), re.S) is not None


def environment(folder):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TICKDECK_", "COVERAGE_"))
    }
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return kept | {"PATH": path, "COLUMNS": "80", "HOME": str(folder), "NO_COLOR": "1"}


def run(command, folder):
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    ).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_what_happens(page, tmp_path):
    for block in blocks(page):
        if block.why is None and block.language == "console":
            for command, shown in commands(block):
                printed = run(command, tmp_path)
                assert fits(shown, printed), f"$ {command}\n{printed}"
        elif block.why is None and block.language == "python":
            done = subprocess.run(
                [sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_not_run_is_at_least_accepted(page):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, page.name, "exec")
        elif block.language in SHELLS and block.why is not None:
            for command, _ in commands(block):
                assert_accepted(shlex.split(command, comments=True))


def assert_accepted(words):
    """A tickdeck line is parsed by the verb it names; what runs before and behind it is not ours."""
    while words and ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    if not words or words[0] != "tickdeck":
        return
    ends = [words.index(mark) for mark in ("|", ">", "&", "&&", ";") if mark in words]
    ours, _command = cli.split_command(words[1 : min(ends, default=len(words))])
    if not ours:
        return
    verb = cli.deck.get_command(cli.deck.make_context("tickdeck", [], resilient_parsing=True), ours[0])
    assert verb is not None, ours
    verb.make_context(ours[0], ours[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_shell_command_is_either_run_or_says_why_not(page):
    silent = [block.text for block in blocks(page) if block.language in SHELLS[1:] and block.why is None]
    assert silent == []


def lines_documented(page):
    """By kind the further fields that a page documents."""
    section = (ROOT / "docs" / page).read_text(encoding="utf-8").partition("## JSON lines")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*)\|", section.partition("The report:")[0], re.M)
    return {kind: set(re.findall(r"`(\w+)`", fields)) for kind, fields in rows}


def report_documented():
    section = (ROOT / "docs" / "playing.md").read_text(encoding="utf-8").partition("The report:")[2]
    cells = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.M)
    return {field for cell in cells for field in re.findall(r"`(\w+)`", cell)}


def test_the_lines_of_record_are_documented_field_by_field():
    flow = {field.name for field in fields(Flow)}
    notices = {each.kind: {field.name for field in fields(each)} for each in Notice.__subclasses__()}
    notices = {
        kind: names - {"flow"} | (flow if "flow" in names else set()) for kind, names in notices.items()
    }
    assert lines_documented("recording.md") == notices


COMMON = {"kind", "client", "timeline", "market", "position_ns", "market_time"}
OPTIONAL = {"trouble", "stub", "ignore", "variant", "recording", "speed", "to", "frames", "duration_ns"}
SELDOM = {"rejected", "shifted", "resumed", "error", "slow", "evicted", "looped", "other_host", "lack"}


async def test_the_lines_of_play_are_documented_field_by_field(tmp_path):
    documented = lines_documented("playing.md")
    path = tmp_path / "sample.cassette"
    make_cassette(path, *sample(7), replace=False)
    lines = []
    with open_cassette(path) as cassette:
        options = options_of(speed="max", reject_keys=["bad"])
        async with Player(cassette, options, tell=lines.append) as player:
            await use_everything(player)
    lines.append(player.report())
    assert {line["kind"] for line in lines} >= documented.keys() - SELDOM
    for line in lines:
        if line["kind"] != "report":
            assert line.keys() - COMMON - OPTIONAL == documented[line["kind"]] - OPTIONAL, line
    assert lines[-1].keys() - {"kind"} == report_documented()


async def use_everything(player):
    """A client that does whatever makes a line."""
    http, stocks = player.http_url, f"{player.ws_url}/stocks"
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer good"}) as session:
        for path in ("/v1/marketstatus/now", "/v3/nothing"):
            await (await session.get(http + path)).read()
        async with session.ws_connect(stocks) as refused:
            await refused.send_json({"action": "auth", "params": "bad"})
            while not (await refused.receive()).type.name.startswith("CLOS"):
                pass
        async with session.ws_connect(stocks) as socket:
            for action, params in (
                ("auth", "good"),
                ("dance", ""),
                ("subscribe", "AM.*,T.AAPL"),
                ("unsubscribe", "T.AAPL"),
            ):
                await socket.send_json({"action": action, "params": params})
            await player.waits.finished()
            player.controls.speed("max")
        await player.waits.left()


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_reference_shows_the_help_of_every_verb(verb):
    reference = ROOT / "docs" / "cli.md"
    shown = [command for block in blocks(reference) for command, _ in commands(block)]
    assert f"tickdeck {verb} --help" in shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_project_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


TESTING = ROOT / "docs" / "testing.md"


def test_the_page_of_the_plugin_names_each_misstep_there_is():
    made = set()
    for folder in ("dialects", "mockserver"):
        for source in (ROOT / folder).glob("*.py"):
            made |= set(
                re.findall(r'Misstep\(\s*"([\w-]+)"|misstep="([\w-]+)"', source.read_text(encoding="utf-8"))
            )
    kinds = {kind for pair in made for kind in pair if kind}
    page = TESTING.read_text(encoding="utf-8")
    table = page.partition("| misstep | |")[2].partition("\n\n")[0]
    assert kinds == set(re.findall(r"^\| `([\w-]+)`", table, re.M)) != set()


def test_the_page_of_the_plugin_names_its_fixtures_modes_and_options():
    from tickdeck.testing.settings import Mode, Unplayed

    page = TESTING.read_text(encoding="utf-8")
    fixtures, options = ("market", "market_env", "market_options"), ("strict", "on_unplayed", "record_for")
    quoted = [f'"{each}"' for each in Unplayed]
    for name in (*fixtures, *options, *map(str, Mode), *quoted, "upstream_http", "upstream_ws"):
        assert f"`{name}`" in page, name


def test_the_page_of_the_plugin_has_every_wait_and_every_filter_of_the_journal():
    from tickdeck.mockserver.handles import PlainMarket
    from tickdeck.mockserver.happenings import Happenings

    page = TESTING.read_text(encoding="utf-8")
    waits = {name for name in vars(PlainMarket) if name.startswith("wait_")}
    assert all(f"`{name}(" in page for name in waits)
    filters = {name for name in vars(Happenings) if not name.startswith("_")}
    assert all(f"journal.{name}" in page or f"`.{name}`" in page for name in filters)
    assert all(f"market.{name}(" in page for name in dir(PlainMarket) if name.startswith("assert_"))


def test_the_page_of_clients_names_every_bot_that_is_played_to():
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    libraries = {
        path.stem.removesuffix("_rest").removesuffix("_bot").removesuffix("_sync").removesuffix("_async")
        for path in (ROOT / "examples" / "clients").iterdir()
        if path.suffix != ".md"
    }
    spelled = {
        "websocket_client": "websocket-client",
        "vendor_npm": "@polygon.io/client-js",
        "polygon": "polygon-api-client",
    }
    assert all(f"`{spelled.get(name, name)}`" in page for name in libraries)


def test_the_example_of_the_readme_runs(tmp_path):
    """With the bot of the tutorial, and an opening auction made by hand."""
    from tickdeck import tape

    example = next(
        block.text for block in blocks(ROOT / "README.md") if "@pytest.mark.cassette" in block.text
    )
    [bot] = [
        command
        for block in blocks(ROOT / "docs" / "first-test.md")
        for command, _ in commands(block)
        if command.startswith("cat > bot.py")
    ]
    run(bot, tmp_path)
    (tmp_path / "test_readme.py").write_text(example)
    (tmp_path / "cassettes").mkdir()
    auction = tape().rest("GET", "/v2/aggs/ticker/MSFT/prev", {"results": [{"c": 115.0}]}).at("09:30:00")
    for number, price in enumerate((116, 114, 113.5)):
        auction.at(f"09:30:0{number}").send({"ev": "T", "sym": "MSFT", "p": price})
    auction.write(tmp_path / "cassettes" / "open-auction.cassette")
    assert "1 passed" in run("python -m pytest -q -p no:randomly test_readme.py", tmp_path)
