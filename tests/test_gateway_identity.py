"""The certificates a server shows: whom they name, where their files are, and what cannot be served."""

import ssl
import stat
import sys
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from tickdeck.cassette.errors import UsageError
from tickdeck.dialects.markets import FEEDS, ORIGINS
from tickdeck.gateway import identity as tls
from tickdeck.gateway.identity import client_context, hosts_of, identity_of


@pytest.fixture
def own(tmp_path):
    """A certificate of one's own and its key, as two files; ``ca.pem`` beside them signed it."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    leaf = ca.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(leaf.cert_chain_pems[0].bytes())
    leaf.private_key_pem.write_to_path(str(key))
    return cert, key


def shaken(server, client, name):
    """The certificate that a client is shown, which checks it for a host name; no socket is needed."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (asking, serving, asking, serving):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    return x509.load_der_x509_certificate(asking.getpeercert(binary_form=True))


def test_a_certificate_names_this_machine_the_host_given_and_the_vendor():
    hosts = hosts_of(ORIGINS, host="192.0.2.7")
    assert hosts[:4] == ["127.0.0.1", "::1", "localhost", "192.0.2.7"]
    assert {"api.polygon.io", "api.massive.com", *(f"{feed}.massive.com" for feed in FEEDS)} <= set(hosts)
    assert len(hosts) == len(set(hosts))


def test_an_origin_names_its_host_without_port_path_or_what_no_certificate_can_name():
    origins = ("https://API.example.com:8443/v3", "wss://[::1]:9", "https://a host/", "no origin", "https://")
    assert hosts_of(origins, host="localhost")[3:] == ["api.example.com"]


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "socket.polygon.io", "delayed.massive.com", "::1"]
)
def test_who_trusts_the_throw_away_ca_takes_the_server_for_any_of_its_names(name):
    identity = identity_of(True, None, None, hosts=hosts_of(ORIGINS, host="127.0.0.1"))
    try:
        shown = shaken(identity.context, client_context(identity.ca_file), name)
    finally:
        identity.close()
    assert "tickdeck" in shown.issuer.rfc4514_string()


def test_who_does_not_trust_the_throw_away_ca_does_not_take_the_server_for_anybody():
    identity = identity_of(True, None, None, hosts=["localhost"])
    try:
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(identity.context, ssl.create_default_context(), "localhost")
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(identity.context, client_context(identity.ca_file), "elsewhere.example.com")
    finally:
        identity.close()


def test_only_the_certificate_of_the_ca_lies_on_the_disk_and_only_while_it_serves():
    identity = identity_of(True, None, None, hosts=["localhost"])
    folder = identity.ca_file.parent
    assert [path.name for path in folder.iterdir()] == ["tickdeck-ca.pem"]
    assert b"PRIVATE" not in identity.ca_file.read_bytes()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    identity.close()
    assert not folder.exists()


def test_the_servers_key_is_readable_by_us_alone_while_it_is_loaded(monkeypatch):
    modes = []
    load = ssl.SSLContext.load_cert_chain

    def watched(context, path, *rest, **more):
        modes.append(stat.S_IMODE(Path(path).stat().st_mode))
        return load(context, path, *rest, **more)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    identity_of(True, None, None, hosts=["localhost"]).close()
    assert modes == [0o600]


def test_nothing_is_left_behind_when_no_certificate_can_be_made(monkeypatch, tmp_path):
    monkeypatch.setattr(tls.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="no certificate"):
        identity_of(True, None, None, hosts=_failing())
    assert list(tmp_path.iterdir()) == []


def _failing():
    yield "localhost"
    raise ValueError("no certificate")


def test_one_s_own_certificate_is_served_and_there_is_no_ca_to_trust(own):
    identity = identity_of(True, *own, hosts=[])
    assert identity.ca_file is None
    shown = shaken(identity.context, client_context(own[0].parent / "ca.pem"), "localhost")
    assert shown == x509.load_pem_x509_certificate(own[0].read_bytes())
    identity.close()
    assert own[0].exists()


def test_without_tls_there_is_nothing_to_show():
    assert identity_of(False, None, None, hosts=["localhost"]) is None


def test_half_a_pair_is_refused(own):
    with pytest.raises(UsageError, match="--tls-cert without --tls-key"):
        identity_of(True, own[0], None, hosts=[])
    with pytest.raises(UsageError, match="--tls-key without --tls-cert"):
        identity_of(True, None, own[1], hosts=[])


def test_files_that_cannot_be_used_are_refused_each_in_a_sentence(own, tmp_path):
    cert, key = own
    with pytest.raises(UsageError, match=r"cannot read .*absent\.pem: no such file"):
        identity_of(True, tmp_path / "absent.pem", key, hosts=[])
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(str(other))
    with pytest.raises(UsageError, match=r"the key in .*other\.pem is not that of the certificate in"):
        identity_of(True, cert, other, hosts=[])
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_bytes(b"nonsense")
    with pytest.raises(UsageError, match="no certificate and key in PEM"):
        identity_of(True, nonsense, key, hosts=[])


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(own, tmp_path):
    from cryptography.hazmat.primitives import serialization as form

    locked = tmp_path / "locked.pem"
    key = form.load_pem_private_key(own[1].read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"a password")
        )
    )
    with pytest.raises(UsageError, match="without a password"):
        identity_of(True, own[0], locked, hosts=[])


def test_without_the_extra_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(UsageError, match=r"pip install 'tickdeck\[tls\]'"):
        identity_of(True, None, None, hosts=["localhost"])
