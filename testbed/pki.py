"""Keys, certificates and kubeconfigs of a testbed. Only making new ones needs `cryptography`."""

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

API_ADDRESS = "192.0.2.10"
SERVICE_ADDRESS = "10.96.0.1"
API_NAMES = (
    "127.0.0.1",
    API_ADDRESS,
    SERVICE_ADDRESS,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)
CLIENTS = {  # file name: user and groups, as the Kubernetes components expect them
    "admin": ("admin", ("system:masters",)),
    "controller-manager": ("system:kube-controller-manager", ()),
    "scheduler": ("system:kube-scheduler", ()),
    "apiserver-kubelet": ("apiserver-kubelet-client", ("system:masters",)),
    **{f"node{n}": (f"system:node:node{n}", ("system:nodes",)) for n in (1, 2, 3)},
}
YEAR = datetime.timedelta(days=365)


def _private(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise TestbedError(
            "making certificates needs the Python package `cryptography` (pip install cryptography); "
            "without it use a folder made elsewhere: python -m testbed pki DIR, then --pki DIR"
        ) from None


def _pem_key(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


def _certificate(
    name: str,
    groups: Iterable[str] = (),
    issuer: "tuple[Certificate, EllipticCurvePrivateKey] | None" = None,
    names: Sequence[str] = (),
    lifetime: datetime.timedelta = YEAR,
) -> "tuple[Certificate, EllipticCurvePrivateKey]":
    """A certificate and its key; without an issuer it is a CA. A negative lifetime makes one that has expired."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    end = now + lifetime
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - datetime.timedelta(hours=1))
        .not_valid_after(end)
    )
    if issuer is None:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    else:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(usage, critical=False)
    if names:
        alternatives = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def _save(folder: Path, name: str, pair: "tuple[Certificate, EllipticCurvePrivateKey]") -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    (folder / f"{name}.crt").write_bytes(pair[0].public_bytes(Encoding.PEM))
    _private(folder / f"{name}.key", _pem_key(pair[1]))


def create(folder: Path) -> None:
    """Make the certificates of CA, API server and components in a folder; TestbedError without `cryptography`."""
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority = _certificate("testbed-ca")
    _save(folder, "ca", authority)
    tokens = ec.generate_private_key(ec.SECP256R1())
    _private(folder / "sa.key", _pem_key(tokens))
    (folder / "sa.pub").write_bytes(
        tokens.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    )
    _save(folder, "apiserver", _certificate("kube-apiserver", issuer=authority, names=API_NAMES))
    for name, (user, groups) in CLIENTS.items():
        _save(folder, f"client-{name}", _certificate(user, groups, authority))


def file_name(user: str, groups: Sequence[str] = ()) -> str:
    """A readable file name for a user and groups, another for every other user and groups."""
    exact = hashlib.sha256("\0".join((user, *groups)).encode()).hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", user)[:60] + "-" + exact


def client(folder: Path, user: str, groups: Sequence[str] = (), lifetime: datetime.timedelta = YEAR) -> str:
    """The name of a client certificate for this user and groups in the folder, made now unless it was made before."""
    for name, known in CLIENTS.items():
        if known == (user, tuple(groups)) and lifetime == YEAR:
            return f"client-{name}"
    name = f"client-{file_name(user, groups)}" + ("" if lifetime == YEAR else f"-{int(lifetime.total_seconds())}s")
    if (folder / f"{name}.crt").exists():
        return name
    _need_cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()), key
    _save(folder, name, _certificate(user, groups, authority, lifetime=lifetime))
    return name


def kubeconfig(folder: Path, name: str, target: Path, server: str = f"https://{API_ADDRESS}:443") -> Path:
    """Write a kubeconfig (mode 0600) for a client certificate of the folder; returns its path."""

    def data(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": name.removeprefix("client-"), "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name.removeprefix("client-")}}],
        "current-context": "testbed",
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    _private(target, json.dumps(config, indent=1).encode())
    return target
