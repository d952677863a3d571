"""A small OCI image of busybox, and its push to a registry: what the testbed's own pods run, pulled like any other."""

import hashlib
import http.client
import io
import json
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from testbed.errors import TestbedError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\n",
}


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def busybox_layer(busybox: Path) -> bytes:
    """A layer with busybox, a link per applet, /tmp and two accounts; the same bytes for the same busybox."""
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777}.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        files = {
            "bin/busybox": (busybox.read_bytes(), 0o755),
            **{n: (text.encode(), 0o644) for n, text in ACCOUNTS.items()},
        }
        for name, (data, mode) in files.items():
            file = tarfile.TarInfo(name)
            file.size, file.mode = len(data), mode
            tar.addfile(file, io.BytesIO(data))
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


def upload(connection: http.client.HTTPConnection, repository: str, data: bytes) -> None:
    """A blob in one piece (OCI distribution spec, "Pushing a blob monolithically"); nothing when it is there."""
    connection.request("HEAD", f"/v2/{repository}/blobs/{digest(data)}")
    answer = connection.getresponse()
    answer.read()
    if answer.status == 200:
        return
    connection.request("POST", f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
    answer = connection.getresponse()
    answer.read()
    place = urlsplit(answer.getheader("Location", ""))
    query = f"{place.query}&" if place.query else ""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(data))}
    connection.request("PUT", f"{place.path}?{query}digest={digest(data)}", body=data, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 201:
        raise TestbedError(f"the registry refused a blob of {repository}: {answer.status} {body[:200]!r}")


def put_manifest(connection: http.client.HTTPConnection, repository: str, tag: str, manifest: bytes) -> str:
    """Name blobs that are there an image; returns repository@digest as a pod names it, without the registry."""
    headers = {"Content-Type": MANIFEST}
    connection.request("PUT", f"/v2/{repository}/manifests/{tag}", body=manifest, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 201:
        raise TestbedError(f"the registry refused the manifest of {repository}: {answer.status} {body[:200]!r}")
    return f"{repository}@{digest(manifest)}"


def push(registry: str, repository: str, tag: str, layer: bytes, command: list[str]) -> str:
    """Push a one-layer image to a plain HTTP registry; returns repository@digest as a pod names it."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": command, "Env": ["PATH=/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    packed = json.dumps(config).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(packed), "size": len(packed)},
            "layers": [{"mediaType": LAYER, "digest": digest(layer), "size": len(layer)}],
        }
    ).encode()
    connection = http.client.HTTPConnection(registry, timeout=30)
    try:
        upload(connection, repository, packed)
        upload(connection, repository, layer)
        return f"{registry}/{put_manifest(connection, repository, tag, manifest)}"
    finally:
        connection.close()
