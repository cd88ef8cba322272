"""The control over HTTP, on a real server; and its reference page, held to what is true."""

from __future__ import annotations

import asyncio
import gzip
import io
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

import aiohttp
import pytest

from tickdeck import jsonlines
from tickdeck.cassette.errors import FormatError
from tickdeck.cassette.reader import Cassette
from tickdeck.cassette.records import Record
from tickdeck.mockserver import control
from tickdeck.mockserver.options import options_of
from tickdeck.mockserver.routes import ROUTES, Route, listing
from tickdeck.mockserver.server import Player
from tickdeck.mockserver.views import ClientView, JournalView, Moved, State, TimelineView

Make: TypeAlias = Callable[[Iterable[Record]], Cassette]
Answer: TypeAlias = tuple[int, dict[str, Any]]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "control.md"
TEXT = PAGE.read_text(encoding="utf-8")
MILLISECOND = 1_000_000
TOKEN = "a-token-of-the-control"


@pytest.fixture
def tape(make: Make, story: Any) -> Cassette:
    """Ten trades of AAPL, 10 ms apart, from 09:30:00 in New York; one REST answer."""
    story.opens(0, 0)
    story.acks(0, 0, "T.AAPL")
    for number in range(10):
        story.trades(0, number * 10 * MILLISECOND, "AAPL")
    story.answers(5, "https://api.polygon.io/v2/a", b"{}")
    return make(story.records)


class Deck:
    """A server that plays, and who speaks to it."""

    def __init__(self, player: Player, session: aiohttp.ClientSession) -> None:
        self.player = player
        self.session = session

    async def ask(self, method: str, path: str, **how: Any) -> Answer:
        url = f"{self.player.http_url}{path}"
        async with self.session.request(method, url, **how) as response:
            assert response.headers["Cache-Control"] == "no-store"
            assert not [name for name in response.headers if name.lower().startswith("access-control")]
            told = await response.json()
            assert list(told)[:3] == ["kind", "v", "time"]
            return response.status, told

    @asynccontextmanager
    async def client(self, *channels: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.session.ws_connect(f"{self.player.ws_url}/stocks") as bot:
            await bot.send_json({"action": "auth", "params": "key"})
            await bot.send_json({"action": "subscribe", "params": ",".join(channels)})
            for _ in range(3):
                await bot.receive(10)
            yield bot


@asynccontextmanager
async def playing(tape: Cassette, **options: Any) -> AsyncIterator[Deck]:
    async with Player(tape, options_of(**options)) as player, aiohttp.ClientSession() as session:
        yield Deck(player, session)


# -- every route: what the reference page shows is what happens


EXAMPLE = re.compile(r"^```http\n(\w+) (\S+)\n(?:\n(.*?)\n)?```\n```(?:json|text)\n(.*?)\n```$", re.M | re.S)


def fits(shown: str, printed: str) -> bool:
    return re.fullmatch(".*?".join(map(re.escape, shown.split("..."))), printed, re.S) is not None


async def test_what_the_reference_page_shows_is_what_happens(tape: Cassette) -> None:
    async with playing(tape, speed="step") as deck, deck.client("T.AAPL"):
        await deck.player.waits.started()
        for method, path, body, shown in EXAMPLE.findall(TEXT):
            url = f"{deck.player.http_url}{path}"
            async with deck.session.request(method, url, data=body or None) as response:
                printed = (await response.text()).strip()
            assert fits(shown, printed), f"{method} {path}\n{printed}"


def test_the_reference_page_shows_each_route_once_and_in_order() -> None:
    shown = [(method, path.partition("?")[0]) for method, path, _, _ in EXAMPLE.findall(TEXT)]
    assert shown == [(route.method, route.path) for route in ROUTES]


def test_the_reference_page_documents_each_route_as_the_table_declares_it() -> None:
    sections = re.findall(r"^### (\w+) (\S+)\n\n(.+?)\n\n(.*?)^```http", TEXT, re.M | re.S)
    documented = [
        (method, path, meaning, re.findall(r"^\| `(\w+)` \| (\w+) \| (\w*) ?\| (.+) \|$", rest, re.M))
        for method, path, meaning, rest in sections
    ]
    assert documented == [
        (route.method, route.path, route.meaning, [
            (each.name, each.type.name, "required" if each.required else "", each.meaning)
            for each in route.parameters
        ])
        for route in ROUTES
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("heading", "shape"),
    [("field of `state`", State), ("field of a timeline", TimelineView), ("field of a client", ClientView)],
)
def test_the_reference_page_documents_every_field(heading: str, shape: type) -> None:
    table = TEXT.partition(f"| {heading} |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.M)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(get_type_hints(shape))


def test_the_reference_page_names_every_status() -> None:
    documented = {int(status) for status in re.findall(r"^\| (\d{3}) \|", TEXT, re.M)}
    source = Path(control.__file__).read_text(encoding="utf-8")
    gate = (Path(control.__file__).parents[1] / "watch" / "gate.py").read_text(encoding="utf-8")
    routes = Path(control.__file__).with_name("routes.py").read_text(encoding="utf-8")
    refused = {int(status) for status in re.findall(r"Refused\(\s*(\d{3}),", source + gate + routes)}
    assert documented == refused | {status for _, status in control._STATUS}


def test_the_answers_are_of_the_version_of_the_json_lines() -> None:
    assert control.VERSION == jsonlines.VERSION


async def test_answers_have_the_documented_fields(tape: Cassette) -> None:
    async with playing(tape, speed="step") as deck, deck.client("T.AAPL"):
        await deck.player.waits.started()
        _, state = await deck.ask("GET", "/__tickdeck/state")
        _, moved = await deck.ask("POST", "/__tickdeck/step")
        _, clients = await deck.ask("GET", "/__tickdeck/clients")
        _, journal = await deck.ask("GET", "/__tickdeck/journal")
    assert set(state) - {"kind", "v", "time"} == set(get_type_hints(State))
    assert set(moved) - {"kind", "v", "time"} == set(get_type_hints(Moved))
    assert set(state["timelines"][0]) == set(get_type_hints(TimelineView))
    assert set(clients["clients"][0]) == set(get_type_hints(ClientView))
    assert set(journal) - {"kind", "v", "time"} == set(get_type_hints(JournalView))


@pytest.mark.parametrize("path", ["/__tickdeck", "/__tickdeck/"])
async def test_the_index_lists_the_routes(tape: Cassette, path: str) -> None:
    async with playing(tape) as deck:
        status, told = await deck.ask("GET", path)
        assert (status, told["kind"], told["routes"]) == (200, "routes", listing())
        assert (await deck.ask("POST", path))[0] == 405


async def test_the_journal_is_read_in_pieces(tape: Cassette) -> None:
    async with playing(tape) as deck, deck.client("T.AAPL"):
        _, first = await deck.ask("GET", "/__tickdeck/journal?limit=2")
        _, then = await deck.ask("GET", f"/__tickdeck/journal?since={first['next']}&limit=1")
        _, beyond = await deck.ask("GET", "/__tickdeck/journal?since=1000")
    assert [each["kind"] for each in first["entries"]] == ["connected", "authenticated"]
    assert [each["kind"] for each in then["entries"]] == ["subscribed"]
    assert (beyond["entries"], beyond["next"]) == ([], 1000)


async def test_the_reference_page_documents_what_the_journal_says(tape: Cassette) -> None:
    table = TEXT.partition("| `verb` | further fields |")[2].partition("\n\n")[0]
    documented = {
        verb: set(re.findall(r"`(\w+)`", fields))
        for verbs, fields in re.findall(r"^\| (`[^|]+`) \|(.*)\|", table, re.M)
        for verb in re.findall(r"`([\w-]+)`", verbs)
    }
    async with playing(tape, speed="step") as deck, deck.client("T.AAPL"):
        await deck.player.waits.started()
        for method, path, body, _ in EXAMPLE.findall(TEXT):
            if method == "POST" and "reset" not in path:
                await deck.ask(method, path, data=body or None)
        lines = [entry.parts for entry in deck.player.journal.entries if entry.kind == "control"]
    assert {str(line["verb"]): set(line) - {"verb", "run"} for line in lines} == documented
    assert set(documented) == {route.name for route in ROUTES if route.method == "POST"} - {"reset"}


# -- what is refused


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_the_other_method_is_refused_with_the_one_that_is_allowed(tape: Cassette, route: Route) -> None:
    other = "POST" if route.method == "GET" else "GET"
    async with (
        playing(tape) as deck,
        deck.session.request(other, f"{deck.player.http_url}{route.path}") as response,
    ):
        assert (response.status, response.headers["Allow"]) == (405, route.method)


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/__tickdeck/stat", 404, "there is no '/__tickdeck/stat'; nearest: GET /__tickdeck/state"),
        ("POST", "/__tickdeck/seek", 400, "seek wants to"),
        ("POST", "/__tickdeck/speed?speed=fast", 400, "speed is neither a factor nor max"),
        ("POST", "/__tickdeck/speed?speed=1e999999999", 400, "speed is neither a factor nor max"),
        ("POST", "/__tickdeck/seek?to=noon", 400, "seek: 'noon' is no place on a tape"),
        ("POST", "/__tickdeck/step?duration=soon", 400, "step takes a duration such as 500ms, not 'soon'"),
        ("POST", "/__tickdeck/step?frames=0", 400, "step takes 1 to 10000 frames, not 0"),
        ("POST", "/__tickdeck/step?frames=1&duration=1s", 400, "step takes frames or a duration, not both"),
        ("POST", "/__tickdeck/drop?code=1006", 400, "a close frame has no code 1006"),
        ("POST", "/__tickdeck/drop?code=70000", 400, "a close frame has no code 70000"),
        ("POST", "/__tickdeck/drop?client=7", 409, "client 7 is not connected"),
        ("POST", "/__tickdeck/stub?request=x", 400, "'x' is no request to answer"),
        ("POST", "/__tickdeck/stub?request=GET+/&status=99", 400, "a status from 200 to 599, not 99"),
        ("POST", "/__tickdeck/stub?request=GET+/&content_type=a%0d%0ab", 400, "printable ASCII"),
        ("POST", "/__tickdeck/stub?request=GET+/&times=0", 400, "times is how often an answer is given"),
        ("POST", "/__tickdeck/stub?request=GET+/&headers=a", 400, "headers must be an object of texts"),
        ("POST", "/__tickdeck/send?frame=x", 400, "a frame to send must be a JSON array of events"),
        ("POST", "/__tickdeck/send?frame=[]", 400, "a frame to send must be a JSON array of events"),
        ("POST", "/__tickdeck/send?frame=[1]", 400, "a frame to send must be a JSON array of events"),
        ("POST", "/__tickdeck/pause", 409, "no timeline has started; it never started: no client"),
        ("POST", "/__tickdeck/seek?to=1", 409, "no timeline has started"),
        ("POST", "/__tickdeck/step", 409, "no timeline has started"),
        ("POST", "/__tickdeck/burst?timeline=3", 409, "there is no timeline 3; there are 0"),
        ("GET", "/__tickdeck/wait?for=godot", 400, "there is no waiting for 'godot'; wait for started"),
        ("GET", "/__tickdeck/wait?for=started&timeout=0.01", 504, "waited 0.01 s for the start of the tape"),
    ],
)
async def test_a_refusal_is_one_sentence(
    tape: Cassette, method: str, path: str, status: int, sentence: str
) -> None:
    async with playing(tape) as deck:
        found, told = await deck.ask(method, path)
        assert (found, told["kind"]) == (status, "error")
        assert sentence in told["sentence"]
        assert (await deck.ask("GET", "/__tickdeck/state"))[1]["error"] is None


async def test_a_stub_has_fields_and_a_number_of_times(tape: Cassette) -> None:
    told = {"request": "GET /v2/a?b=1", "status": 429, "headers": {"Retry-After": 1}, "times": 1}
    async with playing(tape) as deck:
        assert (await deck.ask("POST", "/__tickdeck/stub", json=told))[0] == 200
        url, found = f"{deck.player.http_url}/v2/a", []
        for query in ("b=2", "b=1", "b=1"):
            async with deck.session.get(f"{url}?apiKey=k&{query}") as response:
                found.append((response.status, response.headers.get("Retry-After")))
    assert found == [(404, None), (429, "1"), (404, None)]


@pytest.mark.parametrize("field", ["content_type", "body"])
async def test_half_a_character_in_a_stub_is_refused(tape: Cassette, field: str) -> None:
    async with playing(tape) as deck:
        status, _ = await deck.ask("POST", "/__tickdeck/stub", json={"request": "GET /", field: "\ud800"})
        assert status == 400


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_that_is_too_long_is_not_taken(tape: Cassette, packed: bool) -> None:
    body = b" " * (control.LONGEST_BODY + 1)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    async with playing(tape) as deck:
        told = gzip.compress(body) if packed else body
        status, answer = await deck.ask("POST", "/__tickdeck/pause", data=io.BytesIO(told), headers=headers)
        assert (status, answer["sentence"]) == (413, "the body is longer than 4194304 bytes")


async def test_a_body_that_is_not_packed_as_it_says_is_not_taken(tape: Cassette) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with playing(tape) as deck:
        status, answer = await deck.ask("POST", "/__tickdeck/pause", data=b"no gzip", headers=headers)
        assert (status, answer["sentence"]) == (400, "the body cannot be unpacked")


async def test_a_body_that_grows_too_long_on_the_way_is_not_taken(tape: Cassette) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * (1 << 20)

    async with playing(tape) as deck:
        assert (await deck.ask("POST", "/__tickdeck/pause", data=endless()))[0] == 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    tape: Cassette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "BODY_SECONDS", 0)
    async with playing(tape) as deck:
        told = raw(deck, "POST /__tickdeck/pause HTTP/1.1", "Host: localhost", "Content-Length: 5")
        assert await told == 408


async def test_a_deeply_nested_stub_is_a_sentence(tape: Cassette) -> None:
    async with playing(tape) as deck:
        body = b'{"request":"GET /","body":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        assert (await deck.ask("POST", "/__tickdeck/stub", data=body))[0] == 400


async def test_the_control_is_no_socket(tape: Cassette) -> None:
    async with playing(tape) as deck:
        for path in ("/__tickdeck/", "/__tickdeck/state", "/__tickdeck/stocks"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await deck.session.ws_connect(f"{deck.player.ws_url}{path}")
            assert caught.value.status == 400
        assert deck.player.stage.clients == 0


async def test_the_control_is_not_on_the_shelf(tape: Cassette) -> None:
    async with playing(tape) as deck:
        for path in ("/__tickdeck", "/__tickdeck/", "/__tickdeck/nothing"):
            await deck.ask("GET", path)
        assert (await deck.ask("GET", "/__tickdeck/misses"))[1]["misses"] == []


# -- who may


async def raw(deck: Deck, *lines: str) -> int:
    """The status that literal bytes are answered with."""
    reader, writer = await asyncio.open_connection("127.0.0.1", deck.player.port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = (await asyncio.wait_for(reader.readline(), 10)).split()[1]
    writer.close()
    await writer.wait_closed()
    return int(status)


async def test_who_asks_by_another_name_is_refused(tape: Cassette) -> None:
    async with playing(tape) as deck:
        ask = "GET /__tickdeck/state HTTP/1.1"
        assert await raw(deck, ask, f"Host: 127.0.0.1:{deck.player.port}") == 200
        assert await raw(deck, ask, "Host: localhost:9") == 200
        assert await raw(deck, ask, f"Host: rebound.example:{deck.player.port}") == 403
        assert await raw(deck, "GET /__tickdeck/state HTTP/1.0") == 403
        assert (
            await raw(deck, "GET http://localhost/__tickdeck/state HTTP/1.1", "Host: rebound.example") == 403
        )
        assert await raw(deck, "GET /x/../__tickdeck/state HTTP/1.1", "Host: rebound.example") in (403, 401)
        assert await raw(deck, "GET /%5f%5ftickdeck/state HTTP/1.1", "Host: rebound.example") in (403, 401)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "http://evil.example", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.example"},
    ],
)
async def test_a_page_of_another_origin_cannot_drive_the_deck(
    tape: Cassette, route: Route, said: dict[str, str]
) -> None:
    async with playing(tape) as deck:
        status, told = await deck.ask(route.method, route.path, headers=said)
        assert (status, told["kind"]) == (403, "error")
        assert list(deck.player.journal.entries) == []


async def test_a_page_of_another_origin_is_not_let_in_by_a_preflight(tape: Cassette) -> None:
    asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with playing(tape) as deck:
        assert (await deck.ask("OPTIONS", "/__tickdeck/pause", headers=asks))[0] == 403


async def test_a_page_of_this_server_s_may(tape: Cassette) -> None:
    async with playing(tape) as deck:
        own = {"Origin": deck.player.http_url, "Sec-Fetch-Site": "same-origin"}
        assert (await deck.ask("POST", "/__tickdeck/refuse-keys", headers=own))[0] == 200


async def test_the_token_is_wanted_and_told_nowhere(tape: Cassette) -> None:
    lines: list[object] = []
    options = options_of(token=TOKEN)
    async with Player(tape, options, tell=lines.append) as player, aiohttp.ClientSession() as session:
        deck = Deck(player, session)
        answers = [
            await deck.ask("GET", "/__tickdeck/state"),
            await deck.ask("GET", "/__tickdeck/state", headers={"Authorization": f"Basic {TOKEN}"}),
            await deck.ask("GET", f"/__tickdeck/{TOKEN[:3]}", headers={"Authorization": "Bearer wrong"}),
        ]
        told = {"Authorization": f"Bearer {TOKEN}"}
        answers += [await deck.ask("GET", f"/__tickdeck/{path}", headers=told) for path in ("", "journal")]
        await deck.ask("POST", "/__tickdeck/refuse-keys", json={"keys": ["key"]}, headers=told)
        answers.append(await deck.ask("GET", "/__tickdeck/report", headers=told))
        async with session.get(f"{player.http_url}/__tickdeck/state") as response:
            assert response.headers["WWW-Authenticate"] == "Bearer"
    assert [status for status, _ in answers] == [401, 401, 401, 200, 200, 200]
    assert TOKEN not in repr((answers, lines, options, list(player.journal.entries)))


def other_address() -> str:
    """An address of this machine's that is not on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: a datagram socket only looks up the route
        except OSError:
            pytest.skip("this machine has no other address")
        return str(probe.getsockname()[0])


async def test_beyond_loopback_it_needs_a_token(tape: Cassette) -> None:
    address = other_address()
    lines: list[Any] = []
    options = options_of(host=address)
    async with Player(tape, options, tell=lines.append) as player, aiohttp.ClientSession() as session:
        status, told = await Deck(player, session).ask("GET", "/__tickdeck/state")
    assert (status, told["sentence"][:37]) == (403, "the control answers this machine only")
    assert lines[0]["notes"][-1].startswith("the control answers this machine only")
    async with playing(tape, host=address, token=TOKEN) as deck:
        told_token = {"Authorization": f"Bearer {TOKEN}"}
        assert (await deck.ask("GET", "/__tickdeck/state", headers=told_token))[0] == 200
        assert (await deck.ask("GET", "/__tickdeck/state"))[0] == 401


# -- waiting


async def test_who_waits_when_the_server_stops_is_told(tape: Cassette) -> None:
    async with Player(tape) as player, aiohttp.ClientSession() as session:
        deck = Deck(player, session)
        wait = asyncio.ensure_future(deck.ask("GET", "/__tickdeck/wait?for=started"))
        while not player.stage.waiting:
            await asyncio.wait([wait], timeout=0.001)
        await player.stop()
        assert (await wait)[0] == 503


async def test_who_waits_is_answered_when_it_has_come_about(tape: Cassette) -> None:
    async with playing(tape, speed="max") as deck, deck.client("T.AAPL"):
        status, told = await deck.ask("GET", "/__tickdeck/wait?for=finished&timeout=10")
        assert (status, told["timelines"][0]["finished"]) == (200, True)


async def test_a_cassette_that_cannot_be_read_is_500(tape: Cassette, monkeypatch: pytest.MonkeyPatch) -> None:
    async with playing(tape) as deck:
        deck.player.stage.failed(FormatError("a.cassette: damaged at byte 7"))
        status, told = await deck.ask("GET", "/__tickdeck/wait?for=started")
        assert (status, told["sentence"]) == (500, "a.cassette: damaged at byte 7")
