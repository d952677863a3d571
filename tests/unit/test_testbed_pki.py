"""Keys, certificates and kubeconfigs of a testbed."""

import base64
import datetime
import json
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from testbed import TestbedError, pki


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pki")
    pki.create(made)
    return made


def subject(certificate: x509.Certificate) -> tuple[str, list[str]]:
    names = certificate.subject.get_attributes_for_oid
    groups = sorted(str(group.value) for group in names(NameOID.ORGANIZATION_NAME))
    return str(names(NameOID.COMMON_NAME)[0].value), groups


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_every_key_is_for_its_owner_only(folder: Path) -> None:
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in folder.glob("*.key")}
    assert modes == dict.fromkeys(
        [*(f"client-{name}.key" for name in pki.CLIENTS), "ca.key", "sa.key", "apiserver.key"], "0o600"
    )
    assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_every_component_has_the_user_and_groups_that_kubernetes_expects(folder: Path) -> None:
    found = {name: subject(certificate(folder / f"client-{name}.crt")) for name in pki.CLIENTS}
    assert found == {name: (user, sorted(groups)) for name, (user, groups) in pki.CLIENTS.items()}


def test_the_api_servers_certificate_is_for_every_name_and_address_it_is_called_by(folder: Path) -> None:
    extension = certificate(folder / "apiserver.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    addresses = [str(address) for address in extension.value.get_values_for_type(x509.IPAddress)]
    assert addresses + extension.value.get_values_for_type(x509.DNSName) == list(pki.API_NAMES)


def test_a_client_made_twice_is_made_once(folder: Path) -> None:
    name = pki.client(folder, "system:serviceaccount:a:b", ["g/1", "g2"])
    first = (folder / f"{name}.crt").read_bytes()
    assert name == "client-system-serviceaccount-a-b-" + name[-8:]
    assert name != pki.client(folder, "system-serviceaccount:a:b", ["g/1", "g2"])
    assert pki.client(folder, "system:serviceaccount:a:b", ["g/1", "g2"]) == name
    assert (folder / f"{name}.crt").read_bytes() == first
    assert subject(certificate(folder / f"{name}.crt")) == ("system:serviceaccount:a:b", ["g/1", "g2"])


def test_a_negative_lifetime_makes_a_certificate_that_has_expired(folder: Path) -> None:
    name = pki.client(folder, "late", lifetime=datetime.timedelta(hours=-1))
    made = certificate(folder / f"{name}.crt")
    assert made.not_valid_before_utc < made.not_valid_after_utc < datetime.datetime.now(datetime.UTC)


def test_a_kubeconfig_is_private_and_holds_the_client_it_names(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "admin"
    pki.kubeconfig(folder, "client-admin", target)
    config = json.loads(target.read_text())
    (user,) = config["users"]
    assert oct(target.stat().st_mode & 0o777) == "0o600"
    assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.10:443"
    assert base64.b64decode(user["user"]["client-certificate-data"]) == (folder / "client-admin.crt").read_bytes()


def test_without_cryptography_a_ready_folder_serves_and_a_new_one_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert pki.client(folder, "admin", ["system:masters"]) == "client-admin"
    pki.kubeconfig(folder, "client-admin", tmp_path / "config")
    with pytest.raises(TestbedError, match="needs the Python package `cryptography`"):
        pki.create(tmp_path / "other")
    assert not (tmp_path / "other").exists()
