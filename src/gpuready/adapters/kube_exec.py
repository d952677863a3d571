"""Credential plugins (users[].user.exec).

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from datetime import datetime

import msgspec

from gpuready.adapters.kube_connection import Connection
from gpuready.adapters.kube_words import clean
from gpuready.adapters.kubeconfig import ExecPlugin
from gpuready.model.errors import UserError

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
MODES = ("Never", "IfAvailable", "Always")
ALONE_SECONDS = 120.0  # a plugin that cannot ask anybody
ASKING_SECONDS = 600.0  # a person logs in
MAX_ANSWER = 1 << 20


class Granted(msgspec.Struct, frozen=True, rename="camel"):
    """ExecCredential.status. `expiration_timestamp` None: good until the server says otherwise."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None

    def __repr__(self) -> str:
        return "Granted(...)"


class _Credential(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    status: Granted | None = None


def run_plugin(plugin: ExecPlugin, connection: Connection) -> Granted:
    """Run it and read its answer. UserError for everything that goes wrong; its output is never quoted."""
    who = f"credential plugin {os.path.basename(plugin.command)} of user {connection.user_name}"
    interactive = _interactive(plugin, who, connection.source)
    env = {**os.environ, **{e.name: e.value for e in plugin.env}}
    env["KUBERNETES_EXEC_INFO"] = _exec_info(plugin, connection, interactive)
    output = _run(plugin, env, interactive, who)
    try:
        answer = msgspec.json.decode(output, type=_Credential)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise UserError(f"{who} printed no ExecCredential", _by_hand(plugin)) from None
    if answer.kind != "ExecCredential" or answer.api_version != plugin.api_version:
        raise UserError(
            f"{who} answered {clean(answer.kind, 60)} {clean(answer.api_version, 60)}, "
            f"the kubeconfig expects ExecCredential {plugin.api_version}",
            f"correct exec.apiVersion in {connection.source}",
        )
    granted = answer.status
    if granted is None or not (granted.token or granted.client_certificate_data):
        raise UserError(f"{who} granted neither a token nor a certificate", _by_hand(plugin))
    if bool(granted.client_certificate_data) != bool(granted.client_key_data):
        raise UserError(f"{who} granted a certificate without its key, or a key alone", _by_hand(plugin))
    return granted


def _interactive(plugin: ExecPlugin, who: str, source: str) -> bool:
    if plugin.api_version not in VERSIONS:
        told = clean(plugin.api_version, 60) or "empty"
        raise UserError(
            f"exec.apiVersion of {who} is {told}; Kubernetes knows {' and '.join(VERSIONS)}",
            f"update the plugin and exec.apiVersion in {source}",
        )
    mode = plugin.interactive_mode or ("IfAvailable" if plugin.api_version.endswith("beta1") else "")
    if mode not in MODES:
        raise UserError(f"exec.interactiveMode of {who} must be one of {', '.join(MODES)}", f"correct it in {source}")
    terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    if mode == "Always" and not terminal:
        raise UserError(f"{who} must ask at a terminal, and standard input is none", "run this from a terminal")
    return terminal and mode != "Never"


def _exec_info(plugin: ExecPlugin, connection: Connection, interactive: bool) -> str:
    spec: dict[str, object] = {"interactive": interactive}
    if plugin.provide_cluster_info:
        cluster = {
            "server": connection.server,
            "tls-server-name": connection.tls_server_name,
            "insecure-skip-tls-verify": connection.skip_verify,
            "certificate-authority-data": connection.ca,  # bytes become base64
            "proxy-url": connection.proxy if connection.proxy_from == "proxy-url" else "",
            "disable-compression": not connection.compress,
            "config": connection.exec_config,
        }
        spec["cluster"] = {key: value for key, value in cluster.items() if value}
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    return msgspec.json.encode(info).decode()


def _run(plugin: ExecPlugin, env: dict[str, str], interactive: bool, who: str) -> bytes:
    """A plugin that may ask shares our terminal; one that may not gets a process group, so that all of it ends."""
    streams = None if interactive else subprocess.PIPE
    try:
        child = subprocess.Popen(
            [plugin.command, *plugin.args],
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=streams,
            env=env,
            start_new_session=not interactive,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        why = error.strerror if isinstance(error, OSError) else "not a command"
        hint = clean(plugin.install_hint, 500) or "install it, or put it on PATH"
        raise UserError(f"{who} cannot be started: {why}", hint) from None
    limit = ASKING_SECONDS if interactive else ALONE_SECONDS
    try:
        output, complaint = child.communicate(timeout=limit)
    except BaseException as error:
        _end(child, group=not interactive)
        if isinstance(error, subprocess.TimeoutExpired):
            raise UserError(f"{who} did not answer within {limit:.0f} s", _by_hand(plugin)) from None
        raise
    if child.returncode:
        lines = [line for line in (complaint or b"").decode("utf-8", "replace").splitlines() if line.strip()]
        last = f": {clean(lines[-1], 300)}" if lines else ""
        raise UserError(f"{who} failed with exit code {child.returncode}{last}", "log in again with that tool")
    if len(output) > MAX_ANSWER:
        raise UserError(f"{who} printed more than {MAX_ANSWER >> 20} MiB", _by_hand(plugin))
    return output


def _end(child: subprocess.Popen[bytes], *, group: bool) -> None:
    try:
        if group:
            os.killpg(child.pid, signal.SIGKILL)  # its own session, so its group has its number
        else:
            child.kill()
    except ProcessLookupError:
        pass
    child.wait()


def _by_hand(plugin: ExecPlugin) -> str:
    return f"run {shlex.quote(plugin.command)} by hand; `kubectl get ns` must work first"
