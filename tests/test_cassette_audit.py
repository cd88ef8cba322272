import base64
import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.cassette.audit import Finding, What, audit
from tickdeck.cassette.compression import zstd
from tickdeck.cassette.records import (
    TEXT,
    Anchor,
    BodyPart,
    Frame,
    Gap,
    Header,
    Interaction,
    Profile,
    Record,
    Sender,
    Source,
    TrackClosed,
    TrackOpened,
)
from tickdeck.cassette.redaction import Redactor
from tickdeck.dialects.polygon_secrets import PLACES

KEY = "an_Api_Key_of_32_characters_0000"
SECRET = "not shaped like a key, but a secret"
REQUEST_ID = "0123456789abcdef0123456789ABCDEF"
CURSOR = base64.b64encode(
    b"active=true&date=2021-04-25&limit=1&order=asc&page_marker=A%7C9adjfhkjhg"
).decode()
HEADER = Header(0, source=Source.SYNTHETIC)


def findings(*records: Record, known: Iterable[str] = (), **options: object) -> list[Finding]:
    return list(audit(HEADER, records, places=PLACES, known=known, **options))


def frame(text: str, sender: Sender = Sender.SERVER) -> Frame:
    return Frame(7, 0, 1, sender, TEXT, text.encode())


def asked(url: str = "https://a/b", **parts: object) -> Interaction:
    return replace(Interaction(7, 1, 2, 3, 0, "GET", url, 200), **parts)


def body_of(text: str, **parts: object) -> Interaction:
    return asked(body=text.encode(), **parts)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        f'{{"echo":"{KEY}"}}',
        f"{KEY}-staging",
        f"token:{KEY}.",
        f"https://a/{KEY}/b",
        rf"line\n{KEY}\n",
        f"x%3D{KEY}%26",
        rf"x\u003d{KEY}",
        "PKABCDEFGHIJ01234567",
        "(AKABCDEFGHIJ01234567)",
    ],
)
def test_a_token_in_the_shape_of_a_key_is_found(text: str) -> None:
    [finding] = findings(frame(text))
    token = text[finding.offset :]
    assert (finding.what, finding.seq, finding.kind, finding.part) == (What.SHAPED, 7, "frame", "payload")
    assert token.startswith((KEY, "PKABC", "AKABC"))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"request_id":"{REQUEST_ID}","status":"OK"}}',
        f'"next_url":"https://api.polygon.io/v3/x?cursor={CURSOR}"',
        f"cursor={CURSOR[:20]}-{KEY}_{CURSOR}",
        f"cursor={CURSOR}-{KEY}%3D",
        KEY + "1",
        "x" + KEY,
        "PKABCDEFGHIJ0123456",
        "pkabcdefghij01234567",
        '[{"ev":"T","sym":"O:AMC210827C00037000","t":1781622376036,"i":"143541"}]',
        "REDACTED-1",
    ],
)
def test_what_only_looks_a_little_like_a_key_is_not(text: str) -> None:
    assert findings(frame(text)) == []


def test_a_known_secret_is_found_in_every_part_of_every_record() -> None:
    raw = SECRET.encode()
    spelled = SECRET.replace(" ", "%20")
    records: list[Record] = [
        frame(f"... {SECRET}"),
        TrackOpened(1, 0, 1, SECRET, url=f"wss://a/{spelled}", request_headers=((b"a", raw),)),
        TrackOpened(2, 0, 1, "stocks", response_headers=((raw, b"a"),)),
        TrackClosed(3, 0, 1, None, 1008, SECRET),
        asked(f"https://a/{spelled}", method=SECRET, reason=SECRET, request_body=raw, body=raw),
        asked(request_headers=((b"X-Echo", b"x " + base64.b64encode(raw)),), response_headers=((b"B", raw),)),
        Gap(5, 0, 1, SECRET, SECRET),
        Profile(6, 0, {"greeting": json.dumps(SECRET)}),
        Anchor(8, 0, 1),
    ]
    found = findings(*records, known=[SECRET, SECRET, ""])
    assert [(each.kind, each.part) for each in found] == [
        ("frame", "payload"),
        *(("track", part) for part in ("url", "market", "request header a", "response header name")),
        ("closed", "reason"),
        *(("interaction", part) for part in ("url", "method", "reason", "request body", "body")),
        *(("interaction", part) for part in ("request header x-echo", "response header b")),
        ("gap", "market"),
        ("gap", "reason"),
        ("profile", "greeting"),
    ]
    assert {each.what for each in found} == {What.KNOWN}


def test_compressed_bodies_are_opened() -> None:
    record = asked(body=gzip.compress(SECRET.encode()), response_headers=((b"Content-Encoding", b"gzip"),))
    [finding] = findings(record, known=[SECRET])
    assert (finding.part, finding.offset) == ("body", 0)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_what_is_compressed_inside_base64_is_opened(
    pack: Callable[[bytes], bytes], encode: Callable[[bytes], bytes]
) -> None:
    inner = encode(pack(b'{"url":"https://a/b?apiKey=sesame"}'))
    outer = encode(pack(b'{"again":"' + inner + b'","key":"' + KEY.encode() + b'"}'))
    found = findings(body_of('{"packed":"' + outer.decode() + '"}'), known=[KEY])
    depths = {(each.what, each.part.count("inside the base64")): each.part for each in found}
    assert depths[What.KNOWN, 1] == "body, inside the base64 at byte 11"
    assert (What.PLACED, 2) in depths


def test_base64_that_only_begins_like_something_compressed_is_no_finding() -> None:
    assert findings(body_of('{"packed":"H4sIthisIsNoGzipStreamAtAll0"}')) == []


def test_a_body_that_cannot_be_opened_is_told() -> None:
    record = asked(body=b"\xff\xff", response_headers=((b"Content-Encoding", b"br"),))
    assert findings(record) == [Finding(What.UNOPENED, 7, "interaction", "body", 0, "", "br")]


def test_a_decoded_body_is_looked_through_as_it_is() -> None:
    record = body_of(SECRET, decoded=True, response_headers=((b"Content-Encoding", b"br"),))
    assert [each.what for each in findings(record, known=[SECRET])] == [What.KNOWN]


def test_a_secret_across_two_parts_of_a_body_is_found_once_and_where_it_is() -> None:
    raw = b"." * 5000 + SECRET.encode() + b"." * 5000
    parts = [BodyPart(at, 0, 3, raw[at : at + 5010]) for at in (0, 5010)]
    [finding] = findings(*parts, asked(interaction=3, body_parts=2, decoded=True), known=[SECRET])
    assert (finding.seq, finding.kind, finding.offset) == (5010, "body_part", 5000)


@pytest.mark.parametrize(
    ("record", "place"),
    [
        (frame('{"action":"auth","params":"short"}', Sender.CLIENT), "message params"),
        (asked("https://a/b?apiKey=short"), "query apiKey"),
        (asked("https://me@a/b"), "url user"),
        (asked(request_headers=((b"Authorization", b"Bearer short"),)), "header authorization"),
        (asked(response_headers=((b"Set-Cookie", b"a=short; Path=/"),)), "header set-cookie"),
        (asked(request_body=b"secret=short"), "body secret"),
        (body_of('"next_url":"https://a/b?apiKey=short"'), "query apiKey"),
    ],
)
def test_a_value_in_a_listed_place_is_found_unless_it_is_a_placeholder(record: Record, place: str) -> None:
    [finding] = findings(record)
    assert (finding.what, finding.place) == (What.PLACED, place)
    assert findings(Redactor(PLACES).clean(record)) == []


def test_the_surest_of_several_reasons_is_given() -> None:
    record = asked(f"https://a/b?apiKey={KEY}")
    assert [each.what for each in findings(record, known=[KEY])] == [What.KNOWN]
    assert [each.what for each in findings(record)] == [What.PLACED]


def test_vendor_data_may_not_be_shared() -> None:
    for source, expected in (
        (Source.RECORDED, [What.RECORDED]),
        (Source.SYNTHETIC, []),
        (Source.ANONYMISED, []),
    ):
        header = Header(0, source=source)
        assert [each.what for each in audit(header, [], places=PLACES, for_sharing=True)] == expected
        assert list(audit(header, [], places=PLACES)) == []


def test_the_header_is_looked_through() -> None:
    header = Header(0, note=f"my key is {KEY}", origins=(f"https://a?apiKey={KEY}",))
    assert [(each.part, each.what) for each in audit(header, [], places=PLACES)] == [
        ("note", What.SHAPED),
        ("origins", What.PLACED),
    ]


def test_known_secrets_are_found_in_the_bytes_of_the_file_across_pieces() -> None:
    raw = b"." * 30 + SECRET.encode() + b"." * 9000 + SECRET.encode()
    found = findings(known=[SECRET], raw=[raw[at : at + 40] for at in range(0, len(raw), 40)])
    assert [(each.seq, each.kind, each.offset) for each in found] == [
        (None, "file", 30),
        (None, "file", 9065),
    ]


def test_a_finding_says_where_and_never_what() -> None:
    [finding] = findings(frame(f"x:{KEY}"))
    assert str(finding) == "record 7 (frame), payload, byte 2: a token in the shape of a key, an_A…"
    [finding] = findings(asked("https://a/b?apiKey=sesame"))
    assert str(finding) == (
        "record 7 (interaction), url, byte 19: a value where a secret stands (query apiKey), s…"
    )
    [finding] = audit(Header(0), [], places=PLACES, for_sharing=True)
    assert str(finding) == "header: vendor data, which may not be redistributed, source: recorded"


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=4, max_size=60))
def test_no_finding_shows_more_than_a_quarter_of_a_secret(secret: str) -> None:
    for finding in findings(frame(f"it is {secret}!"), known=[secret]):
        assert len(finding.shown) - 1 <= len(secret) / 4 or finding.what is not What.KNOWN
