"""HTTPS_PROXY, HTTP_PROXY and NO_PROXY as kubectl reads them (Go's golang.org/x/net/http/httpproxy).

httpx's own reading differs: it takes lower case first and knows no address ranges in NO_PROXY, which clusters need.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from gpuready.model.errors import UserError


def proxy_from_env(server: str, env: Mapping[str, str]) -> tuple[str, str]:
    """(proxy URL, name of the variable), or two empty strings. The URL may hold a password."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for name in (f"{parts.scheme.upper()}_PROXY", f"{parts.scheme}_proxy"):
        url = env.get(name, "").strip()
        if not url:
            continue
        if is_loopback(host) or _excluded(host, port, env.get("NO_PROXY") or env.get("no_proxy") or ""):
            return "", ""
        url = url if "://" in url else f"http://{url}"
        try:
            proxy = urlsplit(url)
            fit = proxy.scheme in ("http", "https", "socks5", "socks5h") and proxy.hostname and (proxy.port or 1) > 0
        except ValueError:
            fit = False
        if not fit:
            raise UserError(f"{name} is no http, https or socks5 address", "write it as http://HOST:PORT")
        return url, name
    return "", ""


def without_password(url: str) -> str:
    """For messages: scheme, host and port only."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _excluded(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host, port, entry.strip().lower()) for entry in no_proxy.split(","))


def _matches(host: str, port: int, entry: str) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
        return address is not None and address.version == network.version and address in network
    name, colon, wanted_port = entry.rpartition(":")
    if colon and wanted_port.isdigit() and (name.count(":") == 0 or name.endswith("]")):
        if int(wanted_port) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    if address is not None:
        return _address(entry) == address
    if entry.startswith("*."):
        entry = entry[1:]
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
