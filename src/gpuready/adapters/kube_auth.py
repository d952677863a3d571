"""Who we are to the API server: headers and client certificate, renewed when they run out or are refused."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from urllib.parse import quote

import msgspec

from gpuready.adapters.kube_connection import Connection
from gpuready.adapters.kubeconfig import AuthProvider, User, base64_data, read_bounded
from gpuready.model.errors import UserError

TOKEN_FILE_SECONDS = 60.0  # as client-go: a projected token is replaced well before it ends
EARLY_SECONDS = 10.0  # a credential that ends while a request travels is of no use


class Identity(msgspec.Struct, frozen=True):
    """What goes with every request. `until` is epoch seconds. `how` is for messages and holds no secret."""

    how: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    certificate: bytes = b""  # PEM
    key: bytes = b""
    until: float | None = None

    def __repr__(self) -> str:
        return f"Identity({self.how})"

    def secrets(self) -> tuple[str, ...]:
        values = (value.decode("utf-8", "replace") for name, value in self.headers if name == b"Authorization")
        return tuple(part for value in values for part in value.split(" ")[1:])


class Login:
    """The current identity of one connection; safe to share between threads."""

    def __init__(self, connection: Connection, now: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._now = now
        self._lock = threading.Lock()
        self._identity: Identity | None = None
        self._impersonation = _impersonation(connection.user, connection.source)

    def current(self) -> Identity:
        """UserError when a file, plugin or token of the kubeconfig cannot give a credential."""
        with self._lock:
            identity = self._identity
            if identity is None or (identity.until is not None and self._now() >= identity.until):
                identity = self._identity = self._read()
            return identity

    def renew(self, refused: Identity) -> Identity:
        """After a 401: read files and run plugins again, once for all threads that were refused."""
        with self._lock:
            if self._identity is None or self._identity == refused:
                self._identity = self._read()
            return self._identity

    def _read(self) -> Identity:
        user, source = self._connection.user, self._connection.source
        certificate, key = _certificate(user, source)
        kinds = [bool(user.token or user.token_file), bool(user.username or user.password)]
        if all(kinds):
            raise UserError(f"user {self._connection.user_name} ({source}) has a token and a password", "remove one")
        if kinds[0]:
            identity = self._from_token(user)
        elif kinds[1]:
            pair = f"{user.username}:{user.password}".encode()
            identity = _bearing("password", b"Basic " + base64.b64encode(pair))
        elif user.exec:
            identity = self._from_plugin()
        elif user.auth_provider:
            identity = self._from_provider(user.auth_provider)
        elif certificate:
            identity = Identity("client certificate")
        else:
            identity = Identity("no credentials")
        headers = identity.headers + self._impersonation
        if certificate:  # a static certificate goes with whatever else there is
            identity = msgspec.structs.replace(identity, certificate=certificate, key=key)
        return msgspec.structs.replace(identity, headers=headers)

    def _from_token(self, user: User) -> Identity:
        if not user.token_file:
            return _bearing("token", b"Bearer " + _header_text(user.token, "token", self._connection.source))
        try:
            text = read_bounded(Path(user.token_file), "tokenFile").decode("ascii").strip()
            if not text:
                raise UserError(f"{user.token_file} (tokenFile) is empty", "log in again with the tool that writes it")
        except (UserError, UnicodeDecodeError) as error:
            if user.token:  # client-go: the last token that could be read, at first the inline one
                return self._from_token(msgspec.structs.replace(user, token_file=""))
            if isinstance(error, UnicodeDecodeError):
                raise UserError(f"{user.token_file} (tokenFile) holds no token", "name the right file") from None
            raise
        value = b"Bearer " + _header_text(text, "tokenFile", user.token_file)
        return _bearing(f"token of {user.token_file}", value, until=self._now() + TOKEN_FILE_SECONDS)

    def _from_plugin(self) -> Identity:
        from gpuready.adapters.kube_exec import run_plugin  # with subprocess, which most kubeconfigs do not need

        connection = self._connection
        plugin = connection.user.exec
        assert plugin is not None
        granted = run_plugin(plugin, connection)
        how = f"credential plugin {Path(plugin.command).name}"
        ends = granted.expiration_timestamp
        until = ends.replace(tzinfo=ends.tzinfo or UTC).timestamp() - EARLY_SECONDS if ends else None
        headers: tuple[tuple[bytes, bytes], ...] = ()
        if granted.token:
            value = b"Bearer " + _header_text(granted.token, "status.token", how)
            headers = ((b"Authorization", value),)
        return Identity(
            how,
            headers,
            granted.client_certificate_data.encode(),
            granted.client_key_data.encode(),
            until,
        )

    def _from_provider(self, provider: AuthProvider) -> Identity:
        """The plugins that Kubernetes 1.26 removed. An OIDC token that is still good needs no plugin."""
        name, source = self._connection.user_name, self._connection.source
        if provider.name != "oidc":
            raise UserError(
                f"user {name} ({source}) uses auth-provider {provider.name or '?'}, which Kubernetes 1.26 removed",
                "write the kubeconfig again with your provider's tool; it then has a credential plugin",
            )
        token = provider.config.get("id-token", "")
        until = _jwt_end(token)
        if not token or until is None or until - EARLY_SECONDS <= self._now():
            state = "is missing" if not token else "cannot be read" if until is None else "has expired"
            raise UserError(
                f"the OIDC id-token of user {name} ({source}) {state}",
                "log in again with your provider's tool, or use a credential plugin (kubelogin)",
            )
        value = b"Bearer " + _header_text(token, "id-token", source)
        return _bearing("OIDC id-token", value, until=until - EARLY_SECONDS)


def _bearing(how: str, authorization: bytes, until: float | None = None) -> Identity:
    return Identity(how, ((b"Authorization", authorization),), until=until)


def _certificate(user: User, source: str) -> tuple[bytes, bytes]:
    certificate = key = b""
    if user.client_certificate_data:
        certificate = base64_data(user.client_certificate_data, "client-certificate-data", source)
    elif user.client_certificate:
        certificate = read_bounded(Path(user.client_certificate), "client-certificate")
    if user.client_key_data:
        key = base64_data(user.client_key_data, "client-key-data", source)
    elif user.client_key:
        key = read_bounded(Path(user.client_key), "client-key")
    if bool(certificate) != bool(key):
        missing = "client-key" if certificate else "client-certificate"
        raise UserError(f"{source}: the user has half a client certificate, no {missing}", "add the other half")
    return certificate, key


def _impersonation(user: User, source: str) -> tuple[tuple[bytes, bytes], ...]:
    """https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation"""
    if not user.impersonate:
        if user.as_uid or user.as_groups or user.as_user_extra:
            raise UserError(f"{source}: as-uid, as-groups or as-user-extra without as", "add the user to act as")
        return ()
    headers = [(b"Impersonate-User", _header_text(user.impersonate, "as", source))]
    if user.as_uid:
        headers.append((b"Impersonate-Uid", _header_text(user.as_uid, "as-uid", source)))
    headers += [(b"Impersonate-Group", _header_text(group, "as-groups", source)) for group in user.as_groups]
    for key, values in user.as_user_extra.items():
        plain = _header_text(key, "as-user-extra", source)
        name = b"Impersonate-Extra-" + quote(plain, safe="!#$&'*+-.^_`|~").encode()  # what a header name may hold
        headers += [(name, _header_text(value, "as-user-extra", source)) for value in values]
    return tuple(headers)


def _header_text(text: str, key: str, source: str) -> bytes:
    """A line break in a value would end the header and begin another."""
    text = text.strip()
    if not text.isprintable():
        raise UserError(f"{source}: {key} holds a line break or control character", "correct it")
    return text.encode()


def _jwt_end(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(body, type=_Claims).exp
    except (ValueError, msgspec.DecodeError):
        return None


class _Claims(msgspec.Struct):
    exp: float | None = None
