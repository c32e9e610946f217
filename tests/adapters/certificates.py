"""Certificates for servers of tests."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def authority() -> Pair:
    """A certificate authority of our own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Private CA")])
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    use = x509.KeyUsage(*[False] * 5, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
    builder = _made(name, key).issuer_name(name).add_extension(constraints, critical=True)
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = builder.add_extension(use, critical=True).add_extension(identity, critical=False)
    return key, made.sign(key, hashes.SHA256())


def write(pair: Pair, file: Path) -> Path:
    """Just the certificate, in PEM."""
    file.write_bytes(pair[1].public_bytes(serialization.Encoding.PEM))
    return file


def server_context(issuer: Pair, file: Path, address: str = "127.0.0.1") -> ssl.SSLContext:
    """What a server at this address shows, signed by the issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[0].public_key())
    builder = _made(name, key).issuer_name(issuer[1].subject).add_extension(alternative, critical=False)
    made = builder.add_extension(authority_key, critical=False).sign(issuer[0], hashes.SHA256())
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _made(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
