"""One OCI image for agent, probes and verify, made of the Python that runs this and of what is installed beside it.

No docker, no network, no compiler. The same files give the same digest.
"""

from __future__ import annotations

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gpuready
from gpuready.adapters import installed, interpreter, oci
from gpuready.adapters.oci import Entry, Image, Tree
from gpuready.model.errors import UserError

NAME = "localhost/gpuready"  # a name that no runtime looks for on the internet
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
NOBODY = 65534

# -I: nothing of the pod's environment or working directory changes what is imported; -B: nothing is written beside it.
ENTRYPOINT = [interpreter.EXECUTABLE, "-I", "-B", "-m", "gpuready"]
# The library path is that of NVIDIA's CUDA images. Google's device plugin mounts the driver there and counts on it:
# https://cloud.google.com/kubernetes-engine/docs/how-to/gpus
ENVIRONMENT = [
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
    "PYTHONDONTWRITEBYTECODE=1",
]


def default_layout() -> Path:
    """$XDG_CACHE_HOME/gpuready/image, ~/.cache/gpuready/image without it."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return root / "gpuready" / "image"


def build(layout: Path, reference: str) -> Image:
    """Write the image as an OCI layout into `layout`, over an earlier one of ours. UserError where that cannot be."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise UserError(f"no image can be made on {machine}", f"make it on {' or '.join(ARCHITECTURES)}")
    python = interpreter.running()
    site = interpreter.site_directory(python)
    oci.prepare(layout)
    try:
        base = interpreter.interpreter_tree(python) | system_files()
        dependencies, binaries = installed.dependency_tree(site)
        linked = interpreter.shared_libraries(python, binaries) if binaries else {}
        dependencies |= {path: entry for path, entry in linked.items() if path not in base}
        own = installed.own_tree(site)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}", "check that installation") from error
    titles = f"Python {platform.python_version()}", "what gpuready requires", f"gpuready {gpuready.__version__}"
    with ThreadPoolExecutor() as pool:  # compilers are child processes, and zlib lets other threads run
        layers = list(pool.map(lambda tree, title: _layer(tree, title, layout), (base, dependencies, own), titles))
    return oci.finish(layout, layers, reference, _config(ARCHITECTURES[machine]))


def _layer(tree: Tree, title: str, layout: Path) -> oci.Layer:
    return oci.write_layer(tree | interpreter.compiled(tree), title, layout)


def system_files() -> Tree:
    """The few files that libc and programs expect."""
    return {
        "etc/passwd": Entry(
            f"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:{NOBODY}:{NOBODY}:nobody:/:/sbin/nologin\n".encode()
        ),
        "etc/group": Entry(f"root:x:0:\nnogroup:x:{NOBODY}:\n".encode()),
        "etc/nsswitch.conf": Entry(b"passwd: files\ngroup: files\nhosts: files dns\n"),
        "root": Entry(None, 0o700),
        "tmp": Entry(None, 0o1777),
    }


def _config(architecture: str) -> dict[str, Any]:
    labels = {
        "org.opencontainers.image.title": "gpuready",
        "org.opencontainers.image.description": "Node agent and probes of gpuready",
        "org.opencontainers.image.version": gpuready.__version__,
        "org.opencontainers.image.licenses": "Apache-2.0",
        oci.OURS: gpuready.__version__,
        "dev.gpuready.python": platform.python_version(),
    }
    run = {"Entrypoint": ENTRYPOINT, "Env": ENVIRONMENT, "WorkingDir": "/", "Labels": labels}
    return {"architecture": architecture, "os": "linux", "config": run}
