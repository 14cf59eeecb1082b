"""Certificates for TLS listeners: people's are checked; others an authority of our own signs, and the next in time."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tieline.cloud.model.problems import PlatformError

LIFETIME = timedelta(days=825)  # what TLS libraries still accept for a server (Apple, HT210176)
AUTHORITY_LIFETIME = timedelta(days=3650)
SKEW = timedelta(hours=1)  # clocks of devices are not exact
RENEW_AFTER = 2 / 3  # of a certificate's time: as ACME's clients do, so that months are left to notice a fault
WARNING = timedelta(days=14)  # before the end of a certificate that is not renewed here


@dataclass(frozen=True)
class Certificate:
    """What a TLS listener needs, as PEM texts; `authority` is what devices verify it with.

    `authority_key` signs the next one; it is empty where people brought the certificate.
    """

    chain: str
    key: str
    authority: str
    authority_key: str = ""


@dataclass(frozen=True)
class Validity:
    """When a certificate begins and ends, and how long its authority can sign others: None where that is not ours."""

    begins: datetime
    ends: datetime
    renewable_until: datetime | None

    @property
    def renewable(self) -> bool:
        """Whether another one can follow: ours, and not one that lasts as long as its authority."""
        return self.renewable_until is not None and self.ends < self.renewable_until


class Renewal(StrEnum):
    """How a certificate is, and with that what is to be done about it."""

    GOOD = "good"
    DUE = "due"  # renew it: the last third of its time has begun
    ENDING = "ending"  # warn: nobody here can renew it
    ENDED = "ended"  # clients refuse it


def validity(chain: str, authority: str, ours: bool) -> Validity:
    """The validity of a chain's first certificate; raises ValueError where a text is no PEM."""
    leaf = x509.load_pem_x509_certificate(chain.encode())
    until = x509.load_pem_x509_certificate(authority.encode()).not_valid_after_utc if ours else None
    return Validity(leaf.not_valid_before_utc, leaf.not_valid_after_utc, until)


def names_of(chain: str) -> list[str]:
    """The names and addresses that a chain's first certificate is for; raises ValueError where it is no PEM."""
    leaf = x509.load_pem_x509_certificate(chain.encode())
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def renewal(certificate: Validity, now: datetime) -> Renewal:
    """What is to be done about a certificate now."""
    begins, ends, until = certificate.begins, certificate.ends, certificate.renewable_until
    in_time = until is not None and now < until
    if in_time and certificate.renewable and now >= begins + (ends - begins) * RENEW_AFTER:
        return Renewal.DUE
    if now >= ends:
        return Renewal.ENDED
    return Renewal.ENDING if now >= ends - WARNING else Renewal.GOOD


def renewed(certificate: Certificate, now: datetime) -> Certificate:
    """Another one with another key, for the same names and by the same authority: clients need nothing new.

    Raises ValueError where the certificate or the authority's key cannot be read.
    """
    old = x509.load_pem_x509_certificate(certificate.chain.encode())
    names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    authority = x509.load_pem_x509_certificate(certificate.authority.encode())
    signing = serialization.load_pem_private_key(certificate.authority_key.encode(), password=None)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is none of ours")
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _leaf(old.subject, names, key, authority, signing, now)
    return Certificate(_pem(leaf), _key_pem(key), certificate.authority, certificate.authority_key)


def self_signed(name: str, hosts: Sequence[str], now: datetime) -> Certificate:
    """A certificate for these names and addresses, by an authority that is made for it."""
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
    names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
    leaf = _leaf(_subject(hosts[0][:64]), names, key, authority, authority_key, now)
    return Certificate(_pem(leaf), _key_pem(key), _pem(authority), _key_pem(authority_key))


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


def _leaf(
    subject: x509.Name,
    names: x509.SubjectAlternativeName,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    """A server's certificate, which ends with its authority at the latest."""
    lifetime = min(LIFETIME, authority.not_valid_after_utc - now)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(subject, authority.subject, key, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


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
