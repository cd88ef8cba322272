"""What is said of connections that never became a request, and how often."""

import errno
import logging
import ssl

import pytest
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, BadStatusLine, InvalidURLError, LineTooLong

from tickdeck.watch import rejections as module
from tickdeck.watch.rejections import AGAIN_AFTER_NS, OTHERS, Rejections
from tickdeck.watch.serverlog import LEFT, SPEAKS_TLS, ServerLog, sentence_of

SECRET = "Aq7Zp0Wm3Xs9Kd5Lf1Gh8Jb2Nc6Vt4Ry"


class Heard:
    """Rejections with a clock in hand; ``said`` is what was said."""

    def __init__(self):
        self.now_ns = 0
        self.said = []
        self.rejections = Rejections(
            lambda sentence, times: self.said.append((sentence, times)), now_ns=lambda: self.now_ns
        )


def test_a_kind_is_said_at_once_and_again_with_its_number_after_a_minute():
    heard = Heard()
    for _ in range(1000):
        heard.rejections.add("a")
    heard.rejections.add("b")
    assert heard.said == [("a", 1), ("b", 1)]
    heard.now_ns = AGAIN_AFTER_NS
    heard.rejections.add("a")
    assert heard.said[2:] == [("a", 1000)]
    assert heard.rejections.counts == {"a": 1001, "b": 1}


def test_no_more_kinds_are_told_apart_than_memory_is_for(monkeypatch):
    monkeypatch.setattr(module, "MOST_KINDS", 2)
    heard = Heard()
    for sentence in ("a", "b", "c", "d", "a"):
        heard.rejections.add(sentence)
    assert heard.rejections.counts == {"a": 2, "b": 1, OTHERS: 2}
    heard.rejections.clear()
    assert heard.rejections.counts == {}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            BadHttpMethod("", error="Received HTTPS traffic on an HTTP port"),
            "this port speaks plain http: use http",
        ),
        (BadStatusLine("\x16\x03\x01"), "this port speaks plain http: use http"),
        (BadStatusLine(f"GET /{SECRET} HTTP/9"), "refused a request: bad status line"),
        (InvalidURLError(f"http://[{SECRET}"), "refused a request: invalid url"),
        (LineTooLong(f"{SECRET}", "10"), "refused a request: got more than 10 bytes when reading"),
        (web.RequestPayloadError(SECRET), "refused a request: its body is not what its fields say"),
        (ConnectionResetError(SECRET), LEFT),
        (ssl.SSLError(1, "x"), "a client did not finish the handshake of TLS"),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "no further connection can be accepted: too many open files; see ulimit -n",
        ),
    ],
)
def test_a_sentence_has_none_of_the_bytes_that_were_sent(error, sentence):
    said = sentence_of(error, advice="use http")
    assert said.startswith(sentence)
    assert SECRET not in said


def test_http_on_a_port_with_tls_is_told_the_scheme():
    context, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.MemoryBIO()
    theirs.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError) as refused:
        context.wrap_bio(theirs, ssl.MemoryBIO(), server_side=True).do_handshake()
    assert sentence_of(refused.value, advice="") == SPEAKS_TLS


def test_what_no_client_can_cause_is_a_defect_with_its_traceback_elsewhere(caplog):
    heard = Heard()
    log = ServerLog(heard.rejections, clean=lambda text: text.replace(SECRET, "REDACTED-1"), advice="")
    with caplog.at_level(logging.DEBUG, "tickdeck.defects"):
        try:
            raise KeyError(f"{SECRET}\nforged")
        except KeyError:
            log.exception("Error handling request from %s", "127.0.0.1")
    assert heard.said == [("a defect of tickdeck: KeyError: 'REDACTED-1\\nforged'", 1)]
    assert "Traceback" in caplog.text
    assert SECRET not in caplog.text


def test_chatter_is_not_told():
    heard = Heard()
    ServerLog(heard.rejections, clean=str, advice="").warning("something")
    assert heard.said == []
