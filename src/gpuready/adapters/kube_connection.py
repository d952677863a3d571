"""Which API server, as whom, and by what way: chosen from kubeconfig files or from the pod we run in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from gpuready.adapters import kubeconfig
from gpuready.adapters.kube_proxy import is_loopback, proxy_from_env
from gpuready.adapters.kubeconfig import Cluster, Config, User, base64_data, read_bounded
from gpuready.model.errors import UserError

# Where the kubelet puts a pod's credentials: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_EXTENSION = "client.authentication.k8s.io/exec"
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")

T = TypeVar("T")


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One resolved choice; nothing has been sent yet. `source` is the file it came from, for messages."""

    server: str  # no trailing slash; may have a path (a cluster behind Rancher)
    context: str
    cluster: str
    user_name: str
    user: User
    namespace: str
    source: str
    ca: bytes = b""  # PEM; empty: the system's roots
    tls_server_name: str = ""
    skip_verify: bool = False
    proxy: str = ""  # may hold a password: never shown
    proxy_from: str = ""  # "proxy-url", "HTTPS_PROXY"
    compress: bool = True
    exec_config: object = None  # what the cluster entry hands to a credential plugin

    @property
    def host(self) -> str:
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.server)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def insecure(self) -> bool:
        """The server's identity is not checked: insecure-skip-tls-verify, or http to another machine."""
        return self.skip_verify or (self.server.startswith("http:") and not is_loopback(self.host))

    def __repr__(self) -> str:
        return f"Connection({self.context}, {self.server})"


def choose(
    path: str | Path | None = None,
    context: str | None = None,
    *,
    env: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> Connection:
    """As kubectl: the file named, else $KUBECONFIG, else ~/.kube/config, else the pod's service account."""
    found, wanted = kubeconfig.config_paths(path, env)
    config = kubeconfig.read_config(found)
    nothing_chosen = path is None and context is None and not config.current_context and not config.contexts
    if nothing_chosen and env.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return _in_cluster(env, service_account)
    if not found:
        looked = " and ".join(str(p) for p in wanted) or "nowhere: neither KUBECONFIG nor HOME is set"
        raise UserError(f"no kubeconfig found (looked at {looked})", "name one with --kubeconfig or KUBECONFIG")
    return _from_config(config, context, env)


def _from_config(config: Config, wanted: str | None, env: Mapping[str, str]) -> Connection:
    files = ", ".join(str(p) for p in config.files)
    name = wanted or config.current_context
    known = _listed(config.contexts)
    if not name:
        raise UserError(f"{files}: no current-context", f"name one with --context; there are: {known}")
    if name not in config.contexts:
        raise UserError(f"{files}: no context {name}", f"name one with --context; there are: {known}")
    context, source = config.contexts[name]
    cluster, file = _entry(config.clusters, "cluster", context.cluster, name, source)
    user, user_file = User(), source
    if context.user:
        user, user_file = _entry(config.users, "user", context.user, name, source)
    where = f"{file}: cluster {context.cluster}"
    server = _server(cluster, user, where)
    proxy, proxy_from = _proxy(cluster, server, where, env)
    return Connection(
        server=server,
        context=name,
        cluster=context.cluster,
        user_name=context.user,
        user=user,
        namespace=context.namespace or "default",
        source=str(user_file),
        ca=_authority(cluster, where),
        tls_server_name=cluster.tls_server_name,
        skip_verify=cluster.insecure_skip_tls_verify,
        proxy=proxy,
        proxy_from=proxy_from,
        compress=not cluster.disable_compression,
        exec_config=next((e.extension for e in cluster.extensions if e.name == EXEC_EXTENSION), None),
    )


def _entry(entries: Mapping[str, tuple[T, Path]], what: str, name: str, context: str, source: Path) -> tuple[T, Path]:
    if name in entries:
        return entries[name]
    raise UserError(
        f"{source}: context {context} names {what} {name!r}, which no file has", f"there are: {_listed(entries)}"
    )


def _listed(names: Iterable[str]) -> str:
    some = sorted(names)
    return ", ".join([*some[:20], *(["..."] if len(some) > 20 else [])]) or "none"


def _server(cluster: Cluster, user: User, where: str) -> str:
    server = cluster.server.strip().rstrip("/")
    if not server:
        raise UserError(f"{where} names no server", "add the address of the API server")
    if "://" not in server:  # client-go's DefaultServerURL: https as soon as anything about TLS is said
        tls = cluster.certificate_authority or cluster.certificate_authority_data or cluster.insecure_skip_tls_verify
        tls = tls or user.client_certificate or user.client_certificate_data
        server = f"{'https' if tls else 'http'}://{server}"
    try:
        parts = urlsplit(server)
        fit = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
        fit = fit and not parts.query and not parts.fragment and server.isascii() and server.isprintable()
    except ValueError:
        fit = False
    if not fit or " " in server:
        raise UserError(f"{where}: server is not an http or https address", "write it as https://HOST:PORT")
    if parts.username or parts.password:
        raise UserError(f"{where}: server holds a user name or password", "move it to the users part of the kubeconfig")
    return server


def _authority(cluster: Cluster, where: str) -> bytes:
    if cluster.certificate_authority_data:
        ca = base64_data(cluster.certificate_authority_data, "certificate-authority-data", where)
    elif cluster.certificate_authority:
        ca = read_bounded(Path(cluster.certificate_authority), "certificate-authority")
    else:
        return b""
    if cluster.insecure_skip_tls_verify:
        raise UserError(
            f"{where} has a certificate authority and insecure-skip-tls-verify", "remove insecure-skip-tls-verify"
        )
    return ca


def _proxy(cluster: Cluster, server: str, where: str, env: Mapping[str, str]) -> tuple[str, str]:
    """proxy-url wins over the environment, and NO_PROXY does not apply to it."""
    if not cluster.proxy_url:
        return proxy_from_env(server, env)
    try:
        parts = urlsplit(cluster.proxy_url)
        fit = parts.scheme in PROXY_SCHEMES and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        fit = False
    if not fit:
        raise UserError(f"{where}: proxy-url is no http, https or socks5 address", "write it as http://HOST:PORT")
    return cluster.proxy_url, "proxy-url"


def _in_cluster(env: Mapping[str, str], folder: Path) -> Connection:
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT") or "443"
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    where = "environment of this pod"
    server = _server(Cluster(server=server), User(), where)
    proxy, proxy_from = proxy_from_env(server, env)
    namespace = folder / "namespace"
    text = read_bounded(namespace, "namespace of this pod") if namespace.exists() else b"default"
    return Connection(
        server=server,
        context="",
        cluster="in-cluster",
        user_name="service account of this pod",
        user=User(token_file=str(folder / "token")),
        namespace=text.decode("ascii", "replace").strip(),
        source=str(folder),
        ca=read_bounded(folder / "ca.crt", "certificate authority of this pod"),
        proxy=proxy,
        proxy_from=proxy_from,
    )
