"""A private certificate authority: a server certificate for 127.0.0.1, and client certificates that end soon."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY_SECONDS = 86_400.0


class Authority:
    """A certificate authority that nobody trusts by default.

    Args:
        folder: Where its files go: `authority.pem`, and `server/` with `public.crt`, `private.key` and `CAs/`, as
            MinIO wants them.

    Attributes:
        bundle: The authority's own certificate, for clients to trust.
        server: The folder of a server certificate for 127.0.0.1 and localhost.
    """

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Test authority")
        self.bundle = folder / "authority.pem"
        self.server = folder / "server"
        self._write_own(self.bundle)
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        self.issue("127.0.0.1", self.server, ExtendedKeyUsageOID.SERVER_AUTH, addresses=addresses)
        (self.server / "CAs").mkdir()
        self._write_own(self.server / "CAs" / "authority.crt")

    def issue_client(self, name: str, folder: Path, *, seconds: float) -> None:
        """Write a client certificate for `name` into `folder`; it ends in `seconds`."""
        self.issue(name, folder, ExtendedKeyUsageOID.CLIENT_AUTH, seconds=seconds)

    def issue(
        self,
        name: str,
        folder: Path,
        usage: x509.ObjectIdentifier,
        *,
        addresses: list[x509.GeneralName] | None = None,
        seconds: float = DAY_SECONDS,
    ) -> None:
        """Write `public.crt` and `private.key` of a new certificate into `folder`."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(name), self._name, key.public_key(), seconds)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "public.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "private.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _write_own(self, file: Path) -> None:
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), DAY_SECONDS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, seconds: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(seconds=seconds))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
