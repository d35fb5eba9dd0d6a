"""Certificates of an authority that exists for a test only."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Certifies names; `trust()` is for callers who believe it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of the tests")])
        self._certificate = (
            _draft(self._name, self._key, timedelta(0))
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def trust(self) -> ssl.SSLContext:
        """Return what a caller needs to believe this authority, and no other."""
        pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        return ssl.create_default_context(cadata=pem)

    def server(self, name: str, *, ended: timedelta = timedelta(0), signs_itself: bool = False) -> ssl.SSLContext:
        """Return what a server needs to be *name*, with a certificate that ended so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        draft = _draft(subject, key, ended).add_extension(_alternative(name), critical=False)
        issuer, signer = (subject, key) if signs_itself else (self._name, self._key)
        certificate = draft.issuer_name(issuer).sign(signer, hashes.SHA256())
        return self._context(name, certificate, key)

    def _context(
        self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> ssl.SSLContext:
        file = self._folder / f"{name}-{certificate.serial_number}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _draft(subject: x509.Name, key: ec.EllipticCurvePrivateKey, ended: timedelta) -> x509.CertificateBuilder:
    ends_at = datetime.now(UTC) - ended if ended else datetime.now(UTC) + DAY
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends_at - 30 * DAY)
        .not_valid_after(ends_at)
    )


def _alternative(name: str) -> x509.SubjectAlternativeName:
    try:
        return x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))])
    except ValueError:
        return x509.SubjectAlternativeName([x509.DNSName(name)])
