"""Certificates for MQTT over TLS: those that people bring are checked, otherwise an authority of our own signs one."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tieline.cloud.problems import PlatformError

LIFETIME = timedelta(days=825)  # what TLS libraries still accept for a server (Apple, HT210176)
AUTHORITY_LIFETIME = timedelta(days=3650)
SKEW = timedelta(hours=1)  # clocks of devices are not exact


@dataclass(frozen=True)
class Certificate:
    """What a TLS listener needs, as PEM texts; `authority` is what devices verify it with."""

    chain: str
    key: str
    authority: str


def self_signed(name: str, hosts: Sequence[str], now: datetime) -> Certificate:
    """A certificate for these names and addresses, by an authority whose key is thrown away."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _subject(f"tieline {name}"[:64])
    usage = _usage(sign=True)
    authority = (
        _builder(issuer, issuer, authority_key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        _builder(_subject(hosts[0][:64]), issuer, key, now, LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    return Certificate(_pem(leaf), _key_pem(key), _pem(authority))


def given(chain: str, key: str) -> Certificate:
    """A certificate that people brought; raises PlatformError where chain and key are not a pair in PEM."""
    hint = "give the server's certificate first, then those between it and the authority, and its unencrypted key"
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = "the certificate or its key is no PEM text that can be read"
        raise PlatformError(422, "INVALID_CERTIFICATE", message, hint) from error
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if certificates[0].public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        raise PlatformError(422, "INVALID_CERTIFICATE", "the key is not that of the first certificate", hint)
    return Certificate(chain, key, _pem(certificates[-1]))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lifetime)
    )


def _usage(sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
