"""Reads what names a TLS peer from its certificate. Its chain was verified by the TLS context."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from deid_node.dimse.association import PeerCertificate


def read_certificate(der: bytes) -> PeerCertificate:
    """Read a certificate in DER form."""
    certificate = x509.load_der_x509_certificate(der)
    return PeerCertificate(
        subject=certificate.subject.rfc4514_string(),
        names=_names(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        common_name=_common_name(certificate),
    )


def _common_name(certificate: x509.Certificate) -> str:
    """Return the common name; of several none, since it would not be known which one counts."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *found.get_values_for_type(x509.DNSName),
        *(str(address) for address in found.get_values_for_type(x509.IPAddress)),
    )
