"""What a server that speaks TLS shows of itself: certificates of a throw-away CA, or one's own.

The throw-away CA lives as long as the server. Its certificate lies in a folder of its
own, for clients to trust; its key never leaves the process, and the server's key only
for the moment in which it is loaded, for OpenSSL takes one from a file alone. The
server's certificate names this machine and the hosts of the vendor: a bot that cannot
be told another address can be sent here by a line in its hosts file.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import ssl
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tickdeck.cassette.errors import UsageError
from tickdeck.watch.realtime import real_datetime

if TYPE_CHECKING:
    import trustme

HERE: Final = ("127.0.0.1", "::1", "localhost")

VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""What makes clients trust a CA file: Python's ssl (urllib3, websockets, aiohttp), requests, Node."""

_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII | re.IGNORECASE)


class Identity:
    """A server's certificate and its key, ready to serve with; ``ca_file`` is the CA to trust, if it is ours."""

    def __init__(self, context: ssl.SSLContext, *, folder: Path | None = None) -> None:
        self.context = context
        self.ca_file = None if folder is None else folder / "tickdeck-ca.pem"
        self._folder = folder

    def bundle(self) -> Path | None:
        """The CA together with those that this machine trusts anyway, in one file: other hosts stay known."""
        if self._folder is None or self.ca_file is None:
            return None
        path = self._folder / "tickdeck-bundle.pem"
        known = [self.ca_file, *_trusted_here()]
        path.write_bytes(b"\n".join(each.read_bytes() for each in known))
        return path

    def close(self) -> None:
        """Take the CA file away; nobody is to trust it longer than it serves."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _trusted_here() -> list[Path]:
    """The file of CAs that programs here go by: as the environment says, as OpenSSL does, or certifi's."""
    named = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, _certifi())
    return [Path(each) for each in named if each and Path(each).is_file()][:1]


def _certifi() -> str | None:
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()


def identity_of(
    tls: bool, cert: str | Path | None, key: str | Path | None, *, hosts: Iterable[str]
) -> Identity | None:
    """What to serve with, ``None`` for plain HTTP; ``cert`` and ``key`` are one's own, in PEM.

    Raises `UsageError` for half a pair, files that cannot be used, or a missing extra.
    """
    if cert is not None and key is not None:
        return Identity(_loaded(Path(cert), Path(key)))
    if cert is not None or key is not None:
        given, missing = ("--tls-cert", "--tls-key") if cert is not None else ("--tls-key", "--tls-cert")
        raise UsageError(f"{given} without {missing}; a certificate is served with its key, give both")
    if not tls:
        return None
    with real_datetime():
        return _thrown_away(hosts)


def hosts_of(origins: Iterable[str], *, host: str) -> list[str]:
    """Whom a certificate is to name: this machine, ``host``, and the hosts of origins (``https://HOST:PORT``)."""
    authorities = (origin.partition("://")[2].partition("/")[0] for origin in origins)
    names = (*HERE, host, *(re.sub(r":\d*$", "", each) for each in authorities))
    return list(dict.fromkeys(name.lower() for name in names if _can_be_named(name)))


def _can_be_named(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None
    return True


def client_context(ca_file: Path) -> ssl.SSLContext:
    """What a client of ours connects with: it trusts this CA and nobody else."""
    return ssl.create_default_context(cafile=ca_file)


def _thrown_away(hosts: Iterable[str]) -> Identity:
    authority = _authority()
    folder = Path(tempfile.mkdtemp(prefix="tickdeck-"))
    try:
        identity = Identity(_context(), folder=folder)
        authority.cert_pem.write_to_path(str(identity.ca_file))
        leaf = authority.issue_cert(*hosts, common_name="tickdeck", organization_name="tickdeck")
        _load_once(identity.context, leaf.private_key_and_cert_chain_pem.bytes(), folder / "server.pem")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return identity


def _authority() -> trustme.CA:
    try:
        import trustme  # 0.1 s, and an extra: only who serves TLS pays
    except ImportError:
        raise UsageError(
            "a throw-away CA needs the package trustme; pip install 'tickdeck[tls]', "
            "or serve a certificate of your own with --tls-cert and --tls-key"
        ) from None
    return trustme.CA(organization_name="tickdeck", organization_unit_name="throw-away CA")


def _load_once(context: ssl.SSLContext, pem: bytes, path: Path) -> None:
    """Load key and certificate by way of a file that only we can read, and that is gone afterwards."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        context.load_cert_chain(path)
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def _loaded(cert: Path, key: Path) -> ssl.SSLContext:
    for path in (cert, key):
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    context = _context()
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(f"the key in {key} is not that of the certificate in {cert}") from error
        raise UsageError(f"no certificate and key in PEM, without a password, in {cert} and {key}") from error
    return context


def _no_password() -> str:
    """OpenSSL would ask for one on the terminal; a key that has one is refused."""
    return ""


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    return context
