"""TLS contexts out of the settings, for both directions: BCP 195 (RFC 8996, RFC 9325; PS3.15 B.12).

TLS 1.2 and 1.3, ephemeral elliptic curves with AES-GCM or ChaCha20, no compression and no
renegotiation. Every file is read here before OpenSSL sees it, so that what is wrong with one is said
in words; nothing asks for a password on a terminal.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from deid_node.errors import ConfigurationError, Problems
from deid_node.node.secret_file import UnguardedError, read_secret_file
from deid_node.settings import Settings
from deid_node.settings.destinations import AESettings

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:@SECLEVEL=2"
_OPTIONS: Final = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
_MAX_KEY_BYTES: Final = 1 << 20
_SOON: Final = timedelta(days=30)
_PRIVATE: Final = tuple(
    map(
        ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
            *("127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"),
        ),
    )
)
"""Addresses that are not routed through the Internet: RFC 1918, 6598, 3927, 4193, 4291."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A file and the setting that names it."""

    setting: str
    path: Path | None

    def read(self) -> bytes:
        assert self.path is not None
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise self.problem(f"cannot be read ({error.strerror})") from None

    def problem(self, text: str) -> ConfigurationError:
        return ConfigurationError(f"{self.setting}: {self.path} {text}.")


def acceptor_context(
    settings: Settings, *, environment: Mapping[str, str] | None = None
) -> ssl.SSLContext | None:
    """Return the context in which the node listens, None when TLS is not switched on.

    Raises:
        ConfigurationError: a file is missing, unreadable, expired, or does not fit the others; or
            peers with public addresses would be let in without TLS.
    """
    tls, problems = settings.tls, Problems()
    if tls.certificate is None:
        for name in ("key", "ca"):
            if getattr(tls, name) is not None and not any(map(_uses_tls, settings.destinations.values())):
                problems.found.append(f"tls.{name}: is of no use without tls.certificate.")
        problems.found += _cleartext_problems(settings)
        problems.tell()
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    with problems.gather():
        own = _Named("tls.certificate", tls.certificate), _Named("tls.key", tls.key)
        _load_own(context, *own, environment)
    if tls.mutual:
        with problems.gather():
            if tls.ca is None:
                raise ConfigurationError(
                    "tls.ca: is missing; it names who issues the certificates of peers. `mutual = false` "
                    "lets callers in without one."
                )
            _load_authorities(context, _Named("tls.ca", tls.ca))
            context.verify_mode = ssl.CERT_REQUIRED
    else:
        problems.found += [
            f"peers.{name}.certificate: cannot be checked while tls.mutual is false; set tls.mutual = true."
            for name, peer in settings.peers.items()
            if peer.certificate
        ]
    problems.tell()
    return context


def requestor_context(
    settings: Settings,
    name: str,
    destination: AESettings,
    *,
    environment: Mapping[str, str] | None = None,
) -> ssl.SSLContext | None:
    """Return the context in which a destination is called, None for a connection in cleartext.

    Raises:
        ConfigurationError: as for `acceptor_context`.
    """
    if not destination.tls:
        return None
    own, tls = f"destinations.{name}", settings.tls

    def choose(setting: str, here: Path | None, there: Path | None) -> _Named:
        return _Named(f"{own}.tls_{setting}", here) if here is not None else _Named(f"tls.{setting}", there)

    authorities, problems = choose("ca", destination.tls_ca, tls.ca), Problems()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    with problems.gather():
        if authorities.path is None:
            raise ConfigurationError(
                f"{own}.tls_ca: is missing, and so is tls.ca; one of them names who issued the certificate "
                "of the AE."
            )
        _load_authorities(context, authorities)
    certificate = choose("certificate", destination.tls_certificate, tls.certificate)
    key = choose("key", destination.tls_key, tls.key)
    if certificate.path is not None:
        with problems.gather():
            _load_own(context, certificate, key, environment)
    problems.tell()
    return context


def own_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context in which the node is called from its own machine: it trusts its certificate alone.

    Raises:
        ConfigurationError: the certificate of the node cannot be used.
    """
    certificate = _Named("tls.certificate", settings.tls.certificate)
    if certificate.path is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    context.check_hostname = False  # it is called by the address of the loopback interface
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load_own(context, certificate, _Named("tls.key", settings.tls.key), None)
    context.load_verify_locations(certificate.path)
    return context


def report_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context in which peers are called with reports, None when the node speaks no TLS.

    Raises:
        ConfigurationError: as for `acceptor_context`.
    """
    tls = settings.tls
    if tls.certificate is None or tls.ca is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    _load_authorities(context, _Named("tls.ca", tls.ca))
    _load_own(context, _Named("tls.certificate", tls.certificate), _Named("tls.key", tls.key), None)
    return context


def syslog_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the context in which audit messages are sent, None when they are not (RFC 5425 5).

    Raises:
        ConfigurationError: as for `acceptor_context`.
    """
    syslog = settings.audit.syslog
    if syslog is None:
        return None
    own, problems = "audit.syslog", Problems()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    with problems.gather():
        _load_authorities(context, _Named(f"{own}.ca", syslog.ca))
    if syslog.certificate is not None:
        certificate = _Named(f"{own}.certificate", syslog.certificate)
        with problems.gather():
            _load_own(context, certificate, _Named(f"{own}.key", syslog.key), None)
    elif syslog.key is not None:
        problems.found.append(f"{own}.key: is of no use without {own}.certificate.")
    problems.tell()
    return context


def check_tls(settings: Settings) -> None:
    """Find out whether TLS could be used as it is set.

    Raises:
        ConfigurationError: with the problems of the node and of all destinations.
    """
    problems = Problems()
    for make in (acceptor_context, syslog_context):
        with problems.gather():
            make(settings)
    for name, destination in settings.destinations.items():
        if isinstance(destination, AESettings):
            with problems.gather():
                requestor_context(settings, name, destination)
    problems.tell()


def renew(context: ssl.SSLContext, settings: Settings) -> None:
    """Take over a renewed certificate of the node; associations to come are made with it.

    Raises:
        ConfigurationError: the new certificate cannot be used.
    """
    tls = settings.tls
    acceptor_context(settings)
    _load_own(context, _Named("tls.certificate", tls.certificate), _Named("tls.key", tls.key), None)


def expires_soon(settings: Settings, now: datetime | None = None) -> datetime | None:
    """Return when the certificate of the node expires, if that is within 30 days."""
    if settings.tls.certificate is None:
        return None
    end = _certificates(_Named("tls.certificate", settings.tls.certificate))[0].not_valid_after_utc
    return end if end - (now or datetime.now(UTC)) < _SOON else None


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= _OPTIONS


def _uses_tls(destination: object) -> bool:
    return isinstance(destination, AESettings) and destination.tls


# --- cleartext ----------------------------------------------------------------------------------


def _cleartext_problems(settings: Settings) -> list[str]:
    if settings.i_accept_cleartext:
        return []
    problems = [
        f"peers.{name}.address: {network} is not private, and without TLS everybody between reads what it "
        "sends. Set tls.certificate, or say i_accept_cleartext = true."
        for name, peer in settings.peers.items()
        for network in peer.address
        if not _is_private(network)
    ]
    problems += [
        f"peers.{name}.certificate: there are no certificates without TLS; set tls.certificate."
        for name, peer in settings.peers.items()
        if peer.certificate
    ]
    return problems


def _is_private(network: IPv4Network | IPv6Network) -> bool:
    return any(
        private.version == network.version and network.subnet_of(private)  # type: ignore[arg-type]  # same
        for private in _PRIVATE
    )


# --- files --------------------------------------------------------------------------------------


def _load_own(
    context: ssl.SSLContext, certificate: _Named, key: _Named, environment: Mapping[str, str] | None
) -> None:
    """Load a certificate and its key, after they were found to belong together."""
    problems = Problems()
    private = public = b""
    with problems.gather():
        own = _certificates(certificate)[0]
        public = own.public_key().public_bytes(*_PUBLIC_FORM)
        _check_times(certificate, own)
    with problems.gather():
        if key.path is None:
            raise ConfigurationError(
                f"{key.setting}: is missing; it names the private key of the certificate."
            )
        private = _private_key(key, environment)
    if public and private and public != private:
        problems.found += key.problem(f"is not the key of the certificate in {certificate.path}").problems
    problems.tell()
    assert key.path is not None
    assert certificate.path is not None
    try:
        context.load_cert_chain(certificate.path, key.path, password=b"")
    except (ssl.SSLError, OSError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise certificate.problem(f"cannot be used ({reason})") from None


_PUBLIC_FORM: Final = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _load_authorities(context: ssl.SSLContext, file: _Named) -> None:
    found = _certificates(file)
    now = datetime.now(UTC)
    if not any(
        certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc for certificate in found
    ):
        _check_times(file, found[0])
    try:
        context.load_verify_locations(file.path)
    except (ssl.SSLError, OSError):
        raise file.problem("cannot be used as authorities") from None


def _certificates(file: _Named) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(file.read())
    except ValueError:
        found = []
    if not found:
        raise file.problem("holds no certificate in PEM")
    return found


def _check_times(file: _Named, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        raise file.problem(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        raise file.problem(f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")


def _private_key(file: _Named, environment: Mapping[str, str] | None) -> bytes:
    """Return the public part of a private key that its owner alone can read."""
    assert file.path is not None
    try:
        content = read_secret_file(file.path, _MAX_KEY_BYTES, environment=environment)
    except UnguardedError as error:
        raise file.problem(str(error)) from None
    except OSError as error:
        raise file.problem(f"cannot be read ({error.strerror})") from None
    try:
        return (
            serialization.load_pem_private_key(content, password=None)
            .public_key()
            .public_bytes(*_PUBLIC_FORM)
        )
    except TypeError:
        raise file.problem("is protected by a password; write it without, with mode 0600") from None
    except Exception:
        raise file.problem("holds no private key in PEM") from None
