"""Credentials for an image registry, as docker and podman keep them. Nothing here is ever printed.

Format: https://github.com/docker/cli/blob/master/docs/reference/commandline/login.md and containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gpuready.model.errors import UserError

HELPER_SECONDS = 30
LIMIT = 1 << 20  # bytes of a credentials file
DOCKER_HUB = ("docker.io", "https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Login:
    """Who to be at a registry. `identity` is a refresh token that takes the place of a password."""

    source: str  # the file or helper, for messages
    user: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)


class _Auth(msgspec.Struct, rename={"identity": "identitytoken"}):
    auth: str = ""
    username: str = ""
    password: str = ""
    identity: str = ""


class _File(msgspec.Struct, rename={"helpers": "credHelpers", "store": "credsStore"}):
    auths: dict[str, _Auth] = {}
    helpers: dict[str, str] = {}
    store: str = ""


class _Answer(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


def login_for(host: str, repository: str) -> Login | None:
    """The login for `host` that the user's credentials file holds or its helper knows; None when there is none."""
    path = _file()
    if path is None:
        return None
    known = _read(path)
    for key in _keys(host, repository):
        if key in known.helpers:
            return _ask(known.helpers[key], key)
        if key in known.auths and (login := _decoded(known.auths[key], path)):
            return login
    if not known.store:
        return None
    logins = (_ask(known.store, key) for key in _keys(host, ""))
    return next((login for login in logins if login), None)


def _file() -> Path | None:
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        return Path(named)
    docker = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    podman = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / "containers" / "auth.json"
    return next((path for path in (docker, podman) if path.is_file()), None)


def _read(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(LIMIT), type=_File)
    except OSError as error:
        raise UserError(
            f"cannot read the registry credentials in {path}: {error.strerror}", "check $REGISTRY_AUTH_FILE"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # the decoder's message quotes types and paths only, but the file is all secrets: say nothing of its contents
        raise UserError(
            f"{path} is not a registry credentials file", "log in again (docker login, podman login)"
        ) from error


def _keys(host: str, repository: str) -> list[str]:
    """The names under which a login may be kept, the most specific first (podman keeps logins per path)."""
    parts = repository.split("/") if repository else []
    paths = ["/".join([host, *parts[:count]]) for count in range(len(parts), 0, -1)]
    hub = list(DOCKER_HUB) if host in DOCKER_HUB else []
    return [*paths, host, f"https://{host}", f"https://{host}/v1/", f"https://{host}/v2/", *hub]


def _decoded(kept: _Auth, path: Path) -> Login | None:
    user, password = kept.username, kept.password
    if kept.auth:
        try:
            user, _, password = base64.b64decode(kept.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} holds a login that cannot be decoded", "log in again (docker login)") from error
    if not (user or kept.identity):
        return None
    return Login(str(path), user, password.rstrip("\0"), kept.identity)


def _ask(helper: str, server: str) -> Login | None:
    """Ask docker-credential-<helper>; None when it knows nothing of `server`."""
    command = f"docker-credential-{helper}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", helper):
        raise UserError(
            "the credentials file names a helper that is no program's name", "correct credsStore or credHelpers"
        )
    try:
        done = subprocess.run(
            [command, "get"], input=server.encode(), capture_output=True, timeout=HELPER_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{command}, which the credentials file names, is not on PATH", "install it, or log in without it"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{command} gave no answer within {HELPER_SECONDS} s", "unlock it and run the command again"
        ) from error
    if done.returncode:
        return None  # helpers say "credentials not found" this way
    try:
        answer = msgspec.json.decode(done.stdout[:LIMIT], type=_Answer)
    except msgspec.DecodeError as error:
        raise UserError(f"{command} did not answer as a credential helper does", "log in without it") from error
    if answer.username == "<token>":
        return Login(command, identity=answer.secret)
    return Login(command, answer.username, answer.secret)
