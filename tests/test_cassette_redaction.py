import base64
import gzip
import json
import re
import zlib
from dataclasses import fields, replace
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.cassette.bodies import coding_of
from tickdeck.cassette.codings import closed, opened
from tickdeck.cassette.records import (
    BINARY,
    PING,
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Header,
    HeaderPairs,
    Interaction,
    Profile,
    Record,
    Sender,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.redaction import MOST_PASSING, NO_PLACES, Redactor
from tickdeck.cassette.spelling import Spelling
from tickdeck.cassette.writer import encode_cassette
from tickdeck.dialects.polygon_secrets import PLACES

KEY = "an_Api_Key_of_32_characters_0000"
OTHER = "another/secret+with=signs&more%!"
SHORT = "sesame"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(PLACES)


def said(payload: str | bytes, sender: Sender = Sender.CLIENT, opcode: int = TEXT) -> Frame:
    raw = payload.encode() if isinstance(payload, str) else payload
    return Frame(0, 0, 1, sender, opcode, raw)


def auth(key: str) -> Frame:
    return said(json.dumps({"action": "auth", "params": key}))


def asked(url: str = "https://a/b", *, request: HeaderPairs = (), **parts: object) -> Interaction:
    return replace(Interaction(0, 1, 2, 3, 0, "GET", url, 200, request_headers=request), **parts)


def cleaned_header(redactor: Redactor, name: str, value: str) -> str:
    record = redactor.clean(asked(request=((name.encode(), value.encode()),)))
    assert isinstance(record, Interaction)
    return record.request_headers[0][1].decode()


# By place.


def test_the_key_of_an_auth_message_becomes_a_placeholder_and_all_else_stays(redactor: Redactor) -> None:
    record = redactor.clean(said(f'{{ "params" : "{KEY}",  "action":"auth" }}'))
    assert record == said('{ "params" : "REDACTED-1",  "action":"auth" }')
    assert redactor.redactions == {"REDACTED-1": {"message params": 1}}


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://a/b?apiKey=%s&limit=1", "https://a/b?apiKey=REDACTED-1&limit=1"),
        ("https://a/b?limit=1&APIKEY=%s", "https://a/b?limit=1&APIKEY=REDACTED-1"),
        ("https://a/b?api%%4bey=%s#top", "https://a/b?api%4bey=REDACTED-1#top"),
        ("https://a/b?x=1;y=2&key_id=%s&token=", "https://a/b?x=1;y=2&key_id=REDACTED-1&token="),
        ("https://user:%s@a/b", "https://REDACTED-1:REDACTED-2@a/b"),
        ("wss://%s@a/stocks", "wss://REDACTED-1@a/stocks"),
        ("https://a/b?to=https%%3A%%2F%%2Fc%%3FapiKey%%3D%s%%26x", "https://a/b?to=https%%3A%%2F%%2Fc%%3FapiKey%%3DREDACTED-1%%26x"),
    ],
)  # fmt: skip
def test_addresses_of_requests_and_sockets_lose_their_secrets(url: str, clean: str) -> None:
    url, clean = url % KEY, clean.replace("%%", "%")
    assert Redactor(PLACES).clean(asked(url)) == asked(clean)
    assert Redactor(PLACES).clean(TrackOpened(0, 0, 1, "stocks", url=url)).url == clean


def test_a_parameter_of_another_name_stays(redactor: Redactor) -> None:
    record = asked(f"https://a/b?page_token={KEY}&my-apiKey={KEY}&apiKeys={KEY}")
    assert redactor.clean(record) is record


@pytest.mark.parametrize(
    ("name", "value", "clean"),
    [
        ("Authorization", f"Bearer {KEY}", "Bearer REDACTED-1"),
        ("authorization", KEY, "REDACTED-1"),
        ("Proxy-Authorization", f"Digest a={KEY}, b=2", "Digest REDACTED-1"),
        ("APCA-API-KEY-ID", f" {KEY} ", " REDACTED-1 "),
        ("apca-api-secret-key", KEY, "REDACTED-1"),
        ("X-Api-Key", f"{KEY}-staging", "REDACTED-1-staging"),
        ("Cookie", f"a={KEY}; b={OTHER}", "a=REDACTED-1; b=REDACTED-2"),
        ("Set-Cookie", f"id={KEY}; Path=/; HttpOnly", "id=REDACTED-1; Path=/; HttpOnly"),
        ("Set-Cookie", "id=; Max-Age=0", "id=; Max-Age=0"),
        ("Location", f"/b?apiKey={KEY}&x=1", "/b?apiKey=REDACTED-1&x=1"),
        ("Link", f'<https://a/b?apiKey={KEY}>; rel="next"', '<https://a/b?apiKey=REDACTED-1>; rel="next"'),
        ("Cookie", f'{KEY}; b="{OTHER}"', 'REDACTED-1; b="REDACTED-2"'),
        ("Authorization", "Bearer ", "Bearer "),
        ("Sec-WebSocket-Protocol", "chat", "chat"),
    ],
)
def test_header_fields_keep_all_but_their_secrets(name: str, value: str, clean: str) -> None:
    assert cleaned_header(Redactor(PLACES), name, value) == clean


def test_a_header_in_latin_1_and_a_broken_escape_hide_no_secret(redactor: Redactor) -> None:
    record = redactor.clean(asked(request=((b"X-Api-Key", b"\xe9" * 16),)))
    assert isinstance(record, Interaction)
    assert record.request_headers == ((b"X-Api-Key", b"REDACTED-1"),)
    assert redactor.clean(said("é" * 16, Sender.SERVER)) == said("REDACTED-1", Sender.SERVER)
    assert redactor.clean(said(r'{"action":"auth","params":"\x"}')) == said(
        '{"action":"auth","params":"REDACTED-2"}'
    )


def test_user_and_password_of_basic_are_secrets_of_their_own(redactor: Redactor) -> None:
    pair = base64.b64encode(f"{KEY}:{OTHER}".encode()).decode()
    assert cleaned_header(redactor, "Authorization", f"Basic {pair}") == "Basic REDACTED-1"
    assert redactor.clean(said(f"{OTHER} {KEY}", Sender.SERVER)) in (
        said("REDACTED-2 REDACTED-3", Sender.SERVER),
        said("REDACTED-3 REDACTED-2", Sender.SERVER),
    )


def test_basic_that_is_no_base64_is_still_a_secret(redactor: Redactor) -> None:
    assert cleaned_header(redactor, "Authorization", "Basic a") == "Basic REDACTED-1"


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        (f'{{"secret_key": "{KEY}", "n": 1.0}}', '{"secret_key": "REDACTED-1", "n": 1.0}'),
        (f"grant_type=x&client_secret={KEY}&y=1", "grant_type=x&client_secret=REDACTED-1&y=1"),
    ],
)
def test_request_bodies_lose_their_secrets_and_get_a_length_that_fits(body: str, clean: str) -> None:
    length = ((b"Content-Length", b"%d" % len(body)),)
    record = Redactor(PLACES).clean(asked(request=length, request_body=body.encode()))
    assert record == asked(request=((b"Content-Length", b"%d" % len(clean)),), request_body=clean.encode())


@pytest.mark.parametrize("joint", ["&", r"\u0026", "&amp;"])
def test_a_next_url_in_a_body_or_a_frame_loses_its_key(joint: str) -> None:
    text = f'{{"next_url":"https:\\/\\/a\\/b?cursor=c{joint}apiKey=%s{joint}x=1","p":114.170}}'
    body, clean = (text % value for value in (KEY, "REDACTED-1"))
    assert Redactor(PLACES).clean(asked(body=body.encode())) == asked(body=clean.encode())
    assert Redactor(PLACES).clean(said(body, Sender.SERVER)) == said(clean, Sender.SERVER)


def test_an_escaped_slash_is_a_part_of_the_secret(redactor: Redactor) -> None:
    text = r'{"next_url":"https:\/\/a\/b?apiKey=with\/slash\u002fand-more-of-it\u0026x=1"}'
    assert redactor.clean(asked(body=text.encode())) == asked(
        body=rb'{"next_url":"https:\/\/a\/b?apiKey=REDACTED-1\u0026x=1"}'
    )
    assert redactor.clean(said("with/slash/and-more-of-it", Sender.SERVER)) == said(
        "REDACTED-1", Sender.SERVER
    )


def test_a_short_secret_goes_by_place_only_with_one_warning(redactor: Redactor) -> None:
    assert redactor.clean(auth(SHORT)) == auth("REDACTED-1")
    assert redactor.clean(asked(f"https://a/{SHORT}?apiKey={SHORT}")) == asked(
        f"https://a/{SHORT}?apiKey=REDACTED-1"
    )
    [warning] = redactor.warnings
    assert warning == (
        "REDACTED-1 has 6 characters (message params): "
        "below 16 a secret is redacted in its places only, not by value"
    )


def test_a_percent_encoded_parameter_is_the_secret_it_spells(redactor: Redactor) -> None:
    redactor.clean(asked(f"https://a/b?apiKey={quote(OTHER, safe='')}"))
    assert redactor.clean(auth(OTHER)) == auth("REDACTED-1")
    assert redactor.clean(said(OTHER, Sender.SERVER)) == said("REDACTED-1", Sender.SERVER)


def test_nothing_and_placeholders_are_no_secrets(redactor: Redactor) -> None:
    for record in (
        auth(""),
        auth("REDACTED-4"),
        asked("https://a/b?apiKey="),
        asked("https://a?apiKey=REDACTED-1"),
    ):
        assert redactor.clean(record) is record
    assert redactor.redactions == {}


def test_the_number_of_a_placeholder_that_was_there_is_not_given_away(redactor: Redactor) -> None:
    redactor.clean(auth("REDACTED-1"))
    redactor.clean(asked("https://a?apiKey=REDACTED-3"))
    assert redactor.clean(auth(KEY)) == auth("REDACTED-2")
    assert redactor.clean(auth(OTHER)) == auth("REDACTED-4")


def test_a_replayed_cassette_is_recorded_as_it_was(redactor: Redactor) -> None:
    once = redactor.clean(auth(KEY))
    assert Redactor(PLACES).clean(once) is once


def test_where_nothing_is_listed_nothing_is_redacted() -> None:
    redactor = Redactor(NO_PLACES)
    for record in (
        auth(KEY),
        asked(f"https://u:p@a?apiKey={KEY}", request=((b"Authorization", KEY.encode()),)),
    ):
        assert redactor.clean(record) is record


# By value.


def test_a_secret_seen_once_is_replaced_wherever_it_turns_up(redactor: Redactor) -> None:
    redactor.clean(auth(KEY))
    raw = KEY.encode()
    for dirty, clean in [
        (said(f"unknown key {KEY}", Sender.SERVER), said("unknown key REDACTED-1", Sender.SERVER)),
        (said(b"\x00" + raw, Sender.CLIENT, BINARY), said(b"\x00REDACTED-1", Sender.CLIENT, BINARY)),
        (said(raw, Sender.SERVER, PING), said("REDACTED-1", Sender.SERVER, PING)),
        (TrackClosed(0, 0, 1, None, 1008, f"bad {KEY}"), TrackClosed(0, 0, 1, None, 1008, "bad REDACTED-1")),
        (asked(f"https://a/{KEY}/b"), asked("https://a/REDACTED-1/b")),
        (asked(reason=KEY), asked(reason="REDACTED-1")),
        (asked(response_headers=((raw, raw),)), asked(response_headers=((b"REDACTED-1", b"REDACTED-1"),))),
        (asked(body=raw), asked(body=b"REDACTED-1")),
        (BodyPart(0, 0, 0, raw), BodyPart(0, 0, 0, b"REDACTED-1")),
        (Gap(0, 0, 1, "stocks", KEY), Gap(0, 0, 1, "stocks", "REDACTED-1")),
        (Profile(0, 0, {"greeting": KEY}), Profile(0, 0, {"greeting": "REDACTED-1"})),
        (TrackOpened(0, 0, 1, KEY), TrackOpened(0, 0, 1, "REDACTED-1")),
    ]:
        assert redactor.clean(dirty) == clean
    assert redactor.redactions["REDACTED-1"]["payload"] == 3


def test_equal_secrets_stay_equal_with_and_without_staging(redactor: Redactor) -> None:
    assert redactor.clean(auth(f"{KEY}-staging")) == auth("REDACTED-1-staging")
    assert redactor.clean(auth(KEY)) == auth("REDACTED-1")
    assert redactor.clean(said(f"{KEY}-staging", Sender.SERVER)) == said("REDACTED-1-staging", Sender.SERVER)


def test_the_longer_of_two_secrets_goes_first(redactor: Redactor) -> None:
    redactor.clean(auth(KEY))
    redactor.clean(auth(KEY + OTHER))
    assert redactor.clean(said(KEY + OTHER, Sender.SERVER)) == said("REDACTED-2", Sender.SERVER)


def test_a_known_secret_needs_no_place() -> None:
    redactor = Redactor(NO_PLACES, known=[KEY, SHORT, ""])
    assert redactor.clean(said(KEY + SHORT, Sender.SERVER)) == said("REDACTED-1" + SHORT, Sender.SERVER)
    assert redactor.warnings == [
        "a secret that was given has 6 characters: below 16 it is redacted in its places only, not by value"
    ]


def test_what_any_part_of_a_record_teaches_holds_for_all_of_it(redactor: Redactor) -> None:
    record = asked(f"https://a/{KEY}", body=b"https://a?apiKey=" + KEY.encode())
    assert redactor.clean(record) == asked("https://a/REDACTED-1", body=b"https://a?apiKey=REDACTED-1")


def test_only_the_newest_cookies_are_looked_for_by_value(redactor: Redactor) -> None:
    cookies = [f"a-cookie-with-the-number-{n:05d}" for n in range(MOST_PASSING + 1)]
    for cookie in cookies:
        cleaned_header(redactor, "Set-Cookie", f"id={cookie}")
    first, last = (said(cookie, Sender.SERVER) for cookie in (cookies[0], cookies[-1]))
    assert redactor.clean(first) is first
    assert redactor.clean(last) == said(f"REDACTED-{MOST_PASSING + 1}", Sender.SERVER)


def test_a_key_that_was_once_a_cookie_is_never_let_go(redactor: Redactor) -> None:
    cleaned_header(redactor, "Set-Cookie", f"id={KEY}")
    redactor.clean(auth(KEY))
    for n in range(MOST_PASSING + 1):
        cleaned_header(redactor, "Set-Cookie", f"id=a-cookie-with-the-number-{n:05d}")
    assert redactor.clean(said(KEY, Sender.SERVER)) == said("REDACTED-1", Sender.SERVER)


def test_records_without_a_secret_are_given_back_as_they_came(redactor: Redactor) -> None:
    redactor.clean(auth(KEY))
    for record in (
        said('[{"ev":"T","sym":"MSFT","p":114.170}]', Sender.SERVER),
        said(b"\xff=%\\", Sender.SERVER),
        said('{"action":"subscribe","params":"T.MSFT"}'),
        asked("https://a/b?limit=1&x=%zz", request=((b"Accept", b"a=b"),), body=gzip.compress(b"x=1")),
        asked("https://a/\udcff"),
        TrackOpened(0, 0, 1, "stocks", "socket", "wss://a/stocks"),
        TrackClosed(0, 0, 1, Sender.SERVER, 1000, "bye"),
        Anchor(0, 0, 1),
        Gap(0, 0, 1, "stocks", "lost"),
        Profile(0, 0, {"a": "b"}),
        BodyPart(0, 0, 0, b"data"),
    ):
        assert redactor.clean(record) is record


# Compressed bodies.


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br", "gzip, zstd", "br, gzip"])
def test_a_secret_inside_a_compressed_body_is_replaced_inside_it(coding: str) -> None:
    redactor = Redactor(PLACES, known=[KEY])
    codings = tuple(coding.split(", "))
    body = closed(f'{{"echo":"{KEY}","p":114.170}}'.encode(), codings)
    headers = (
        (b"Content-Encoding", coding.encode()),
        (b"Content-Length", b"%d" % len(body)),
        (b"Digest", b"d"),
    )
    record = redactor.clean(asked(response_headers=headers, body=body))
    assert isinstance(record, Interaction)
    assert opened(record.body, codings) == b'{"echo":"REDACTED-1","p":114.170}'
    assert record.response_headers == (headers[0], (b"Content-Length", b"%d" % len(record.body)))


def test_a_compressed_body_without_a_secret_keeps_its_bytes() -> None:
    body = gzip.compress(b'{"a":1}', 9, mtime=7)
    record = asked(response_headers=((b"Content-Encoding", b"gzip"),), body=body)
    assert Redactor(PLACES, known=[KEY]).clean(record) is record


def test_a_body_that_broke_off_is_cleaned_and_keeps_the_length_it_promised() -> None:
    stream = zlib.compressobj(wbits=31)
    body = stream.compress(KEY.encode() + b"more") + stream.flush(zlib.Z_SYNC_FLUSH)
    headers = ((b"Content-Encoding", b"gzip"), (b"Content-Length", b"9999"))
    record = Redactor(PLACES, known=[KEY]).clean(asked(response_headers=headers, body=body, complete=False))
    assert isinstance(record, Interaction)
    assert gzip.decompress(record.body) == b"REDACTED-1more"
    assert record.response_headers == headers


def test_a_body_that_cannot_be_opened_stays_and_is_counted(redactor: Redactor) -> None:
    record = asked(response_headers=((b"Content-Encoding", b"compress"),), body=b"\x0b\x02\x80x\x03")
    for _ in range(2):
        assert redactor.clean(record) is record
    assert redactor.warnings == [
        "2 bodies under compress could not be opened and stay as they came: a secret inside would stay, too"
    ]


def test_a_decoded_body_is_not_decoded_again() -> None:
    headers = ((b"Content-Encoding", b"gzip"),)
    record = Redactor(PLACES, known=[KEY]).clean(
        asked(response_headers=headers, body=KEY.encode(), decoded=True)
    )
    assert isinstance(record, Interaction)
    assert record.body == b"REDACTED-1"


# Header, logs.


def test_the_header_and_lines_for_people_pass_too(redactor: Redactor) -> None:
    redactor.clean(auth(KEY))
    assert redactor.clean_header(Header(5, origins=("https://a",), note=f"with {KEY}")) == Header(
        5, origins=("https://a",), note="with REDACTED-1"
    )
    before = {placeholder: dict(places) for placeholder, places in redactor.redactions.items()}
    assert redactor.clean_text(f"GET /b?apiKey={KEY} failed: {KEY!r}") == (
        "GET /b?apiKey=REDACTED-1 failed: 'REDACTED-1'"
    )
    assert redactor.clean_text("half a pair: \ud800") == "half a pair: \ud800"
    assert redactor.redactions == before


# The property.

ALPHABETS = (
    st.characters(codec="ascii", categories=["L", "N"]),
    st.characters(min_codepoint=33, max_codepoint=126),
    st.sampled_from("+/=%&?#-_~ \"'\\<>"),
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]),
)
SECRETS = st.one_of(*(st.text(alphabet, min_size=16, max_size=36) for alphabet in ALPHABETS)).filter(
    lambda secret: secret == secret.strip() and "REDACTED" not in secret and len(set(secret)) > 3
)
NOISE = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), max_size=8)


def spelled(secret: str, how: str) -> bytes:
    raw = secret.encode()
    match how:
        case "raw":
            return raw
        case "percent":
            return quote(secret, safe="").encode()
        case "form":
            return quote_plus(secret).encode()
        case "json":
            return json.dumps(secret)[1:-1].replace("/", "\\/").encode()
        case "units":
            units = secret.encode("utf-16-be").hex()
            return re.sub("(....)", r"\\u\1", units).encode()
        case "staging":
            return raw + b"-staging"
    coded = base64.urlsafe_b64encode if "url" in how else base64.b64encode
    return coded(b"u" * int(how[-1]) + raw + b"tail")


SPELLINGS = (
    "raw",
    "percent",
    "form",
    "json",
    "units",
    "staging",
    "b64-0",
    "b64-1",
    "b64-2",
    "url-0",
    "url-1",
    "url-2",
)


def introductions(secret: str) -> list[Record]:
    quoted = quote(secret, safe="")
    return [
        auth(secret),
        said(json.dumps({"data": {"secret_key": secret, "key_id": "x"}, "action": "authenticate"}, indent=1)),
        said(json.dumps(json.dumps({"action": "auth", "params": secret}))) if secret.isalnum() else auth(secret),
        asked(f"https://a/b?limit=1&apiKey={quoted}"),
        TrackOpened(0, 0, 1, "stocks", url=f"wss://a/stocks?token={quoted}"),
        asked(request=((b"Authorization", b"Bearer " + secret.encode()),)) if " " not in secret else auth(secret),
        asked(request_body=json.dumps({"secret": secret}).encode()),
        asked(body=closed(f"https://a/b?apikey={quoted}".encode(), ("gzip",))),
    ]  # fmt: skip


def echoes(text: bytes) -> list[Record]:
    string = text.decode("latin-1") if not text.isascii() else text.decode()
    return [
        said(text, Sender.SERVER),
        said(text, Sender.CLIENT),
        said(text, Sender.SERVER, BINARY),
        asked(body=text),
        asked(body=closed(text, ("zstd",)), response_headers=((b"Content-Encoding", b"zstd"),)),
        asked(request_body=text),
        asked(request=((b"X-Echo", text),)),
        asked(f"https://a/{string}"),
        TrackClosed(0, 0, 1, Sender.SERVER, 1008, string),
    ]


def bytes_of(record: Record) -> bytes:
    """Everything in a record, bodies opened."""
    pieces: list[bytes] = []
    if isinstance(record, Interaction):
        pieces.append(opened(record.body, coding_of(record.response_headers, record.body)) or b"")
    for each in fields(record):
        value = getattr(record, each.name)
        if isinstance(value, str):
            pieces.append(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, bytes):
            pieces.append(value)
        elif isinstance(value, tuple):
            pieces += [part for pair in value for part in pair]
    return b"\n".join(pieces)


def traces_of(secret: str) -> set[bytes]:
    traces = {spelled(secret, how) for how in ("raw", "percent", "form", "json", "units")}
    if all(character <= "\xff" for character in secret):
        traces.add(secret.encode("latin-1"))
    for before in range(3):
        coded = base64.b64encode(b"u" * before + secret.encode() + b"tail")[4:-9]
        traces |= {coded, coded.replace(b"+", b"-").replace(b"/", b"_")}
    return traces


@settings(max_examples=60, deadline=None)
@given(st.data(), SECRETS)
def test_no_secret_reaches_the_cassette_in_any_spelling(letters, data: st.DataObject, secret: str) -> None:
    story = [data.draw(st.sampled_from(introductions(secret)))]
    for how in data.draw(st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=6)):
        text = b"%b<%b>%b" % (data.draw(NOISE).encode(), spelled(secret, how), data.draw(NOISE).encode())
        story.append(data.draw(st.sampled_from(echoes(text))))
    story = [replace(record, seq=seq) for seq, record in enumerate(story)]
    redactor = Redactor(PLACES)
    written = b"".join(encode_cassette(Header(0), story, indexer=letters.indexer, redactor=redactor, level=0))
    again = Redactor(PLACES)
    kept = b"\n".join(bytes_of(again.clean(record)) for record in story)
    for trace in traces_of(secret):
        assert trace not in written
        assert trace not in kept
    assert redactor.redactions == again.redactions
    assert secret not in again.clean_text(f"it was {secret}, or {secret!r}")
    assert again.clean_text(f"it was {secret}, was it").endswith(", was it")


@settings(max_examples=60, deadline=None)
@given(SECRETS, st.sampled_from(SPELLINGS[:5]), NOISE, NOISE)
def test_what_is_not_the_secret_stays(secret: str, how: str, before: str, after: str) -> None:
    redactor = Redactor(PLACES, known=[secret])
    head, tail = before.encode() + b"<", b">" + after.encode()
    record = redactor.clean(said(head + spelled(secret, how) + tail, Sender.SERVER))
    assert record == said(head + b"REDACTED-1" + tail, Sender.SERVER)


def interaction_that_says(secret: str) -> Interaction:
    return Interaction(
        0, 0, 0, 0, 0, "GET", f"https://api.massive.com/v3?apiKey={quote(secret, safe='')}", 200
    )


@given(
    pieces=st.lists(
        st.sampled_from(
            [KEY, quote(OTHER, safe=""), OTHER, base64.b64encode(KEY.encode()).decode(), "&apiKey=sesame"]
        )
        | st.text("ab/%=& \\", max_size=40),
        max_size=12,
    ),
    at=st.integers(1, 400),
)
def test_a_body_cut_where_it_can_be_loses_the_same_secrets_as_a_whole_one(pieces: list[str], at: int) -> None:
    redactor = Redactor(PLACES)
    for secret in (KEY, OTHER):
        redactor.learn(interaction_that_says(secret))
    body = "".join(pieces).encode()
    cut = redactor.boundary(body, at) if at < len(body) else len(body)
    parts = [body[:cut], body[cut:]]
    cleaned = b"".join(clean_part(redactor, part) for part in parts)
    assert KEY.encode() not in cleaned
    assert b"apiKey=" + SHORT.encode() not in cleaned
    for secret in (KEY, OTHER):
        assert not Spelling(secret).spans(cleaned)


def clean_part(redactor: Redactor, data: bytes) -> bytes:
    part = redactor.clean(BodyPart(0, 0, 0, data))
    assert isinstance(part, BodyPart)
    return part.data


def test_what_a_request_says_is_known_before_its_answer_has_ended_and_counted_once() -> None:
    redactor = Redactor(PLACES)
    asked = replace(
        interaction_that_says(KEY), request_headers=((b"Authorization", f"Bearer {OTHER}".encode()),)
    )
    redactor.learn(asked)
    assert redactor.redactions == {}
    assert clean_part(redactor, f"{KEY} {OTHER}".encode()) == b"REDACTED-1 REDACTED-2"
    redactor.clean(asked)
    assert redactor.redactions == {
        "REDACTED-1": {"body": 1, "query apiKey": 1},
        "REDACTED-2": {"body": 1, "header authorization": 1},
    }
