"""Push an image layout to a registry: OCI Distribution API v2, with Basic and token logins.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md and, for tokens,
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from gpuready.adapters import oci
from gpuready.adapters.oci import Image
from gpuready.adapters.registry_login import Login, login_for
from gpuready.model.errors import UserError

CHUNK = 1 << 20
ANSWER_LIMIT = 1 << 20  # bytes of an answer that are read
SECONDS = 60.0
HUB = "registry-1.docker.io"
TARGET = re.compile(
    r"(?P<host>(?:[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
)


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    repository: str
    tag: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """What the registry holds now. `uploaded` counts bytes sent; 0 when everything was there."""

    reference: str  # repository@digest, as the spec wants it
    uploaded: int


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_target(text: str, default_tag: str) -> Target:
    """REGISTRY/REPOSITORY[:TAG]. UserError when it names no registry or is malformed."""
    match = TARGET.fullmatch(text)
    if not match:
        raise UserError(f"{text!r} is not REGISTRY/REPOSITORY[:TAG]", "for example registry.example.com/infra/gpuready")
    host = match["host"]
    if not (host == "localhost" or "." in host or ":" in host):
        raise UserError(f"{text!r} names no registry", f"put the registry's host first, for example docker.io/{text}")
    return Target(host, match["repository"], match["tag"] or default_tag)


def push(image: Image, target: Target, *, plain_http: bool = False, ca_file: Path | None = None) -> Pushed:
    """Upload what the registry lacks, then the manifest under the tag. UserError says which side refused and why."""
    login = login_for(target.host, target.repository)
    with _client(ca_file) as client:
        registry = _Registry(client, target, login, plain_http)
        registry.enter()
        manifest = oci.blob(image.layout, image.digest).read_bytes()
        parts = msgspec.json.decode(manifest)
        blobs = [parts["config"], *parts["layers"]]
        uploaded = sum(registry.upload(oci.blob(image.layout, blob["digest"]), blob["digest"]) for blob in blobs)
        uploaded += registry.put_manifest(manifest, image.digest)
    return Pushed(f"{target.host}/{target.repository}@{image.digest}", uploaded)


def _client(ca_file: Path | None) -> httpx2.Client:
    """Trusts what the system trusts, or `ca_file`. Proxies come from the environment, logins do not (no ~/.netrc)."""
    verify: ssl.SSLContext | bool = True
    if ca_file:
        try:
            verify = ssl.create_default_context(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"cannot use the certificates in {ca_file}: {error}", "name a PEM file with --ca-file"
            ) from error
    try:
        return httpx2.Client(verify=verify, timeout=SECONDS, auth=lambda request: request)
    except (ValueError, OSError, httpx2.InvalidURL) as error:
        raise UserError(f"cannot set up HTTPS: {error}", "check HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE") from error


class _Registry:
    """One repository at one registry, with the login that it asked for."""

    def __init__(self, client: httpx2.Client, target: Target, login: Login | None, plain_http: bool) -> None:
        self._client, self._target, self._login = client, target, login
        self._scheme = "http" if plain_http else "https"
        host = HUB if target.host == "docker.io" else target.host
        self._base = f"{self._scheme}://{host}"
        self._authorization = ""

    def enter(self) -> None:
        """Ask for the API, and log in when the registry says so."""
        answer = self._once("GET", f"{self._base}/v2/", {})
        if answer.status == 401:
            self._log_in(answer.headers.get("www-authenticate", ""))
            answer = self._once("GET", f"{self._base}/v2/", {})
        if answer.status in (401, 403):
            raise self._refused(answer)
        if answer.status != 200:
            raise self._unexpected("asked for its API", answer)

    def upload(self, path: Path, digest: str) -> int:
        """Bytes sent: 0 when the registry has the blob."""
        repository = f"{self._base}/v2/{self._target.repository}"
        seen = self._ask("HEAD", f"{repository}/blobs/{digest}")
        if seen.status in (200, 307):  # a registry may point to its storage
            return 0
        if seen.status != 404:
            raise self._unexpected("asked for a blob", seen)
        begun = self._ask("POST", f"{repository}/blobs/uploads/", {"content-length": "0"})
        if begun.status != 202 or "location" not in begun.headers:
            raise self._unexpected("began an upload", begun)
        place = self._location(begun.headers["location"])
        place += ("&" if "?" in place else "?") + f"digest={quote(digest, safe='')}"
        size = path.stat().st_size
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        done = self._ask("PUT", place, headers, path)
        if done.status != 201:
            raise self._unexpected("finished an upload", done)
        return size

    def put_manifest(self, manifest: bytes, digest: str) -> int:
        """Point the tag at the manifest; bytes sent, 0 when it does already."""
        url = f"{self._base}/v2/{self._target.repository}/manifests/{self._target.tag}"
        seen = self._ask("HEAD", url, {"accept": oci.MANIFEST})
        if seen.status == 200 and seen.headers.get("docker-content-digest") == digest:
            return 0
        headers = {"content-type": oci.MANIFEST, "content-length": str(len(manifest))}
        done = self._ask("PUT", url, headers, manifest)
        if done.status != 201:
            raise self._unexpected("put the manifest", done)
        stored = done.headers.get("docker-content-digest", digest)
        if stored != digest:
            raise UserError(
                f"{self._target.host} stored the manifest as {stored} in place of {digest}",
                "push to a registry that keeps OCI manifests unchanged",
            )
        return len(manifest)

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: Path | bytes = b""
    ) -> _Answer:
        """One request; logs in again once when a token ran out on the way."""
        answer = self._once(method, url, headers or {}, body)
        if answer.status == 401 and self._ours(url):
            self._log_in(answer.headers.get("www-authenticate", ""))
            answer = self._once(method, url, headers or {}, body)
        if answer.status in (401, 403):
            raise self._refused(answer)
        return answer

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: Path | bytes = b"") -> _Answer:
        login = {"authorization": self._authorization} if self._authorization and self._ours(url) else {}
        content = _chunks(body) if isinstance(body, Path) else body
        return self._exchange(method, url, {"accept-encoding": "identity", **headers, **login}, content)

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], content: bytes | Iterator[bytes]) -> _Answer:
        try:
            with self._client.stream(method, url, headers=dict(headers), content=content) as answer:
                read = b""
                for chunk in answer.iter_bytes(CHUNK):
                    read += chunk
                    if len(read) > ANSWER_LIMIT:
                        raise UserError(
                            f"{urlsplit(url).netloc} answers with more than {ANSWER_LIMIT} bytes", "is it a registry?"
                        )
                return _Answer(answer.status_code, dict(answer.headers), read)
        except httpx2.HTTPError as error:
            raise _unreachable(urlsplit(url).netloc, self._scheme, error) from error

    def _ours(self, url: str) -> bool:
        """Is this the registry that the login is for?"""
        return url.startswith(f"{self._base}/")

    def _location(self, given: str) -> str:
        """Where to upload: relative, at the registry (also when its proxy forgot https), or at its storage."""
        base, place = urlsplit(self._base), urlsplit(str(httpx2.URL(self._base).join(given)))
        if place.hostname == base.hostname and place.scheme != base.scheme:
            return place._replace(scheme=base.scheme, netloc=base.netloc).geturl()
        if place.scheme not in (self._scheme, "https"):
            raise UserError(
                f"{self._target.host} wants the upload at {place.scheme}://{place.netloc}", "use a registry with TLS"
            )
        return place.geturl()

    def _log_in(self, challenge: str) -> None:
        """Answer `WWW-Authenticate`: Basic, or a token from the realm that it names."""
        kind, _, rest = challenge.partition(" ")
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if kind.lower() == "basic" and self._login and self._login.user:
            self._authorization = _basic(self._login)
        elif kind.lower() == "bearer" and "realm" in asked:
            self._authorization = f"Bearer {self._token(asked)}"

    def _token(self, asked: Mapping[str, str]) -> str:
        realm = asked["realm"]
        if not realm.startswith(("https://", f"{self._scheme}://")):
            raise UserError(
                f"{self._target.host} sends logins to {realm[:80]!r}, not over TLS", "use a registry with TLS"
            )
        wanted = {"scope": f"repository:{self._target.repository}:pull,push"}
        if asked.get("service"):
            wanted["service"] = asked["service"]
        answer = self._exchange(*self._token_request(realm, wanted))
        if answer.status in (400, 401, 403):
            raise self._refused(answer)
        try:
            found = msgspec.json.decode(answer.body, type=dict[str, Any])
        except msgspec.DecodeError:
            found = {}
        token = found.get("token") or found.get("access_token")
        if answer.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise self._unexpected("asked for a token", answer)
        return token

    def _token_request(self, realm: str, wanted: dict[str, str]) -> tuple[str, str, dict[str, str], bytes]:
        if self._login and self._login.identity:
            form = {
                **wanted,
                "grant_type": "refresh_token",
                "client_id": "gpuready",
                "refresh_token": self._login.identity,
            }
            body = str(httpx2.QueryParams(form)).encode()
            return "POST", realm, {"content-type": "application/x-www-form-urlencoded"}, body
        url = str(httpx2.URL(realm).copy_merge_params(wanted))
        if not self._login:
            return "GET", url, {}, b""
        return "GET", url, {"authorization": _basic(self._login)}, b""

    def _refused(self, answer: _Answer) -> UserError:
        where = f"{self._target.host}/{self._target.repository}"
        if self._login:
            return UserError(
                f"{where} refused the login of {self._login.source}{_said(answer)}",
                f"log in again with an account that may push there: docker login {self._target.host}",
            )
        return UserError(
            f"{where} wants a login{_said(answer)}",
            f"docker login {self._target.host} (read from ~/.docker/config.json or $REGISTRY_AUTH_FILE)",
        )

    def _unexpected(self, doing: str, answer: _Answer) -> UserError:
        if answer.status == 400 and self._scheme == "http" and b"HTTPS server" in answer.body:
            return UserError(f"{self._target.host} speaks TLS", "leave --plain-http out")
        return UserError(
            f"{self._target.host} answered {answer.status} when gpuready {doing} for {self._target.repository}"
            f"{_said(answer)}",
            "check the registry, its proxy and its disk, then push again: what is there is not sent twice",
        )


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _said(answer: _Answer) -> str:
    """The registry's own words, short and printable: {"errors": [{"code": ..., "message": ...}]}."""
    try:
        errors = msgspec.json.decode(answer.body, type=dict[str, list[dict[str, Any]]])["errors"]
        first = f"{errors[0].get('code', '')}: {errors[0].get('message', '')}"
    except (msgspec.DecodeError, KeyError, IndexError):
        return ""
    return f" ({''.join(char for char in first if char.isprintable())[:200]})"


def _unreachable(host: str, scheme: str, error: httpx2.HTTPError) -> UserError:
    text = str(error) or type(error).__name__
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text or "HTTP_REQUEST" in text:
        return UserError(
            f"{host} does not speak TLS",
            "if it is an http registry: --plain-http; each node's runtime must be told so too (containerd: hosts.toml)",
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        return UserError(
            f"{host}: its certificate is not trusted here: {text[:200]}", "name its CA with --ca-file FILE"
        )
    if isinstance(error, httpx2.TimeoutException):
        return UserError(f"{host} gave no answer within {SECONDS:.0f} s", "check address, firewall and proxy")
    if scheme == "http" and isinstance(error, httpx2.RemoteProtocolError):
        return UserError(f"{host} does not answer in HTTP: {text[:200]}", "if it speaks TLS, leave --plain-http out")
    return UserError(f"cannot reach {host}: {text[:200]}", "check address, name resolution, firewall and proxy")
