"""kubeconfig files: read, checked and merged as kubectl does it. https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/

Nothing here opens a connection or runs a program. Every fault is a UserError that names file and key, never a value.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from gpuready.model.errors import UserError

MAX_BYTES = 4 << 20  # a kubeconfig with 300 clusters and inline certificates is about 2 MiB
MAX_DEPTH = 64  # libyaml's loader recurses on the C stack and crashes the process on deep nesting
MAX_NODES = 200_000  # aliases can stand for far more nodes than the file has bytes


class ExecEnv(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class ExecPlugin(msgspec.Struct, frozen=True, rename="camel"):
    """users[].user.exec: https://kubernetes.io/docs/reference/config-api/client-authentication.v1/"""

    command: str
    args: tuple[str, ...] = ()
    env: tuple[ExecEnv, ...] = ()
    api_version: str = ""
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""

    def __repr__(self) -> str:
        return f"ExecPlugin({self.command})"


class AuthProvider(msgspec.Struct, frozen=True):
    name: str = ""
    config: dict[str, str] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"AuthProvider({self.name})"


class User(msgspec.Struct, frozen=True, rename="kebab"):
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    exec: ExecPlugin | None = None
    auth_provider: AuthProvider | None = None
    impersonate: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: tuple[str, ...] = ()
    as_user_extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return "User(...)"  # the fields are credentials


class Extension(msgspec.Struct, frozen=True):
    name: str = ""
    extension: Any = None


class Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    extensions: tuple[Extension, ...] = ()


class Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: Cluster = Cluster()


class _NamedUser(msgspec.Struct):
    name: str
    user: User = User()


class _NamedContext(msgspec.Struct):
    name: str
    context: Context = Context()


class _File(msgspec.Struct, rename="kebab"):
    current_context: str = ""
    clusters: tuple[_NamedCluster, ...] = ()
    users: tuple[_NamedUser, ...] = ()
    contexts: tuple[_NamedContext, ...] = ()


class Config(msgspec.Struct):
    """All files as one. Each entry keeps the file it came from, for messages."""

    files: tuple[Path, ...] = ()
    current_context: str = ""
    clusters: dict[str, tuple[Cluster, Path]] = msgspec.field(default_factory=dict)
    users: dict[str, tuple[User, Path]] = msgspec.field(default_factory=dict)
    contexts: dict[str, tuple[Context, Path]] = msgspec.field(default_factory=dict)


def read_config(paths: Iterable[Path]) -> Config:
    """The files merged: the first file that names a cluster, user, context or current-context decides it, wholly."""
    merged = Config()
    for path in paths:
        file = _parse(path)
        merged.files += (path,)
        merged.current_context = merged.current_context or file.current_context
        for c in file.clusters:
            merged.clusters.setdefault(c.name, (_cluster_beside(c.cluster, path.parent), path))
        for u in file.users:
            merged.users.setdefault(u.name, (_user_beside(u.user, path.parent), path))
        for x in file.contexts:
            merged.contexts.setdefault(x.name, (x.context, path))
    return merged


def config_paths(kubeconfig: str | Path | None, env: Mapping[str, str]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """(files there are, files looked for). A file named by --kubeconfig must exist; those of $KUBECONFIG need not."""
    if kubeconfig is not None:
        only = (_absolute(Path(kubeconfig)),)
        return only, only
    listed = [p for p in env.get("KUBECONFIG", "").split(os.pathsep) if p]
    if not listed and not env.get("HOME"):
        return (), ()
    wanted = tuple(dict.fromkeys(_absolute(Path(p)) for p in listed or [os.path.join(env["HOME"], ".kube", "config")]))
    return tuple(p for p in wanted if _exists(p)), wanted


def base64_data(text: str, key: str, path: Path | str) -> bytes:
    """A *-data field. Line breaks in it are allowed, as in Go."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UserError(
            f"{path}: {key} is not base64", "write the kubeconfig again, or name a file instead of data"
        ) from None


def read_bounded(path: Path, what: str, limit: int = MAX_BYTES) -> bytes:
    """A small file that the user or a kubeconfig names; `what` says in errors what it was to be."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise UserError(f"{path} ({what}) cannot be read: {why}", "check the path and its permissions") from error
    if len(data) > limit:
        raise UserError(f"{path} ({what}) is larger than {limit >> 20} MiB", "name the right file")
    return data


def _parse(path: Path) -> _File:
    tree = _tree(read_bounded(path, "kubeconfig"), path)
    if tree is None:
        return _File()  # kubectl takes an empty file for an empty configuration
    if not isinstance(tree, dict):
        raise UserError(f"{path} is not a kubeconfig: it holds no mapping", "name a kubeconfig file")
    try:
        return msgspec.convert(_without_nulls(tree, path), _File)
    except msgspec.ValidationError as error:
        told, _, at = str(error).partition(" - at `$")
        key = at.strip("`.").replace("[...]", ".*") or "the file"
        raise UserError(f"{path}: {key}: {told}".replace("`", ""), "correct this key in the kubeconfig") from None
    except (RecursionError, ValueError):
        raise UserError(f"{path} cannot be read as a kubeconfig", "write the kubeconfig again") from None


def _tree(data: bytes, path: Path) -> Any:
    if data.lstrip()[:1] == b"{":  # JSON is YAML, but libyaml refuses the tabs that JSON allows
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            pass  # flow YAML, or broken: the YAML parser has line and column
    import yaml  # 25 ms, and only needed here

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = data.decode("utf-8")
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise UserError(f"{path} is nested more than {MAX_DEPTH} deep", "name a kubeconfig file")
        return yaml.load(text, Loader=loader)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})", "name a kubeconfig file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}{_yaml_place(error)}", "correct the YAML at this place") from None
    except (ValueError, TypeError, OverflowError, RecursionError, KeyError, AttributeError, IndexError):
        # PyYAML's constructors let these through for scalars such as 9999-99-99 or unhashable keys
        raise UserError(f"{path} has a YAML value that cannot be read", "quote dates and numbers in it") from None


def _yaml_place(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "is not YAML"
    # the scanner's words can quote a single character of the file, never a scalar
    return f", line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else f": {problem}"


def _without_nulls(tree: Any, path: Path) -> Any:
    """A copy without null members, which Go reads as absent; counts nodes, so that aliases cannot blow it up."""
    left = MAX_NODES

    def copy(node: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise UserError(f"{path} has too many or too deeply nested values", "name a kubeconfig file")
        if isinstance(node, dict):
            return {k: copy(v, depth + 1) for k, v in node.items() if v is not None and isinstance(k, str)}
        if isinstance(node, list):
            return [copy(v, depth + 1) for v in node if v is not None]
        return node

    return copy(tree, 0)


def _cluster_beside(cluster: Cluster, folder: Path) -> Cluster:
    return replace(cluster, certificate_authority=_beside(cluster.certificate_authority, folder))


def _user_beside(user: User, folder: Path) -> User:
    plugin = user.exec
    if plugin and os.sep in plugin.command:  # a bare name is looked up on PATH
        plugin = replace(plugin, command=_beside(plugin.command, folder))
    return replace(
        user,
        token_file=_beside(user.token_file, folder),
        client_certificate=_beside(user.client_certificate, folder),
        client_key=_beside(user.client_key, folder),
        exec=plugin,
    )


def _beside(name: str, folder: Path) -> str:
    return str(folder / name) if name else ""


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # not resolve(): relative names are beside the link, as kubectl has it


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # there, but not for us: reading it will say why
    return True
