"""Our CDI document beside that of `nvidia-ctk cdi generate`, field by field; what its hooks do and ours does otherwise.

What the hooks do was read from the source of github.com/NVIDIA/nvidia-container-toolkit v1.20.1
(cmd/nvidia-cdi-hook, internal/discover/hooks.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

Json = Mapping[str, Any]

# Why NVIDIA's document has a file that ours leaves out: the first pattern that matches the file's name or folder.
LEFT_OUT = (
    (r"/firmware/", "firmware: the kernel driver on the node loads it, programs in containers do not"),
    (r"socket|/tmp/nvidia-mps", "a daemon's socket: persistence, fabric manager and MPS are not offered to pods"),
    (r"nvidia-(persistenced|cuda-mps-.*|imex.*|debugdump)$", "a program for the node's owner, not for a pod's"),
    (r"(GL|EGL|GLX|glvnd|vulkan|glcore|eglcore|glsi|glvkspirv|rtcore|nvoptix|tls|fbc|wayland|xcb|xlib|gbm|gtk|egl|drm)",
     "graphics and ray tracing: out of scope, GPUs are given for computing"),
    (r"(nvcuvid|encode|opticalflow|vdpau|ngx|present|api\.so|nscq|vksc)", "video, display or management: out of scope"),
)  # fmt: skip

HOOKS = {
    "create-symlinks": (
        "makes libcuda.so, the .so.1 names and the like in the container, as links to the mounted file",
        "the file itself is mounted under each of its names",
    ),
    "update-ldcache": (
        "runs ldconfig on the container's root, so that its loader's cache names the mounted libraries",
        "nothing is run: the libraries are mounted into the two folders that glibc searches last without any cache; an "
        "image whose own cache or LD_LIBRARY_PATH names another libcuda.so.1 gets its own",
    ),
    "enable-cuda-compat": (
        "lets the loader find the image's /usr/local/cuda/compat when its libcuda is newer than the node's",
        "not done: forward compatibility is used only by an image that sets LD_LIBRARY_PATH to it",
    ),
    "disable-device-node-modification": (
        "shows the container /proc/driver/nvidia/params with ModifyDeviceFiles: 0, so that NVML makes no device nodes",
        "not done: a container with CAP_MKNOD may get nodes of other GPUs in its /dev; its device cgroup keeps it from "
        "opening them",
    ),
    "update-application-profile": (
        "writes a driver profile that shows EGL and Vulkan only the container's GPUs",
        "not needed: no graphics library is given",
    ),
    "apply-cuda-memory-limits": (
        "sets limits of CUDA memory for the container's cgroup, when it has NVIDIA_GPU_MEMORY_REQUEST or ..._LIMIT",
        "not done: the two variables have no effect",
    ),
    "chmod": ("changes the mode of device folders, for old crun", "not needed"),
}  # fmt: skip


class Row(NamedTuple):
    """A field and what each document has in it. `why`: what makes them differ."""

    part: str
    field: str
    ours: str
    theirs: str
    same: bool
    why: str = ""


def rows(ours: Json, theirs: Json, uuid: str) -> list[Row]:
    """Every field of both documents for the container that gets the GPU `uuid`."""
    return [
        *_heads(ours, theirs),
        *_device_nodes(_edits(ours, uuid), _edits(theirs, uuid)),
        *_mounts(_edits(ours, uuid), _edits(theirs, uuid)),
        *_names(_edits(ours, uuid), _edits(theirs, uuid)),
        *_variables(_edits(ours, uuid), _edits(theirs, uuid)),
        *_hooks(_edits(ours, uuid), _edits(theirs, uuid)),
    ]


def _edits(document: Json, uuid: str) -> dict[str, list[Any]]:
    """What a container gets with this GPU: the device's own edits and the common ones."""
    device: Json = next((entry for entry in document.get("devices", ()) if entry["name"] == uuid), {})
    parts = (device.get("containerEdits", {}), document.get("containerEdits", {}))
    return {key: [item for part in parts for item in part.get(key, ())] for key in _KEYS}


_KEYS = ("deviceNodes", "mounts", "env", "hooks")


def _heads(ours: Json, theirs: Json) -> Iterator[Row]:
    why = "each of what its own fields need"
    yield _row("document", "cdiVersion", ours.get("cdiVersion"), theirs.get("cdiVersion"), why)
    yield _row("document", "kind", ours.get("kind"), theirs.get("kind"), "a kind of our own: both can lie side by side")
    mine, its = (", ".join(sorted(_short(entry["name"]) for entry in d["devices"])) for d in (ours, theirs))
    yield _row("document", "devices", mine, its, "the kubelet's device IDs are UUIDs, no numbers")


def _device_nodes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Row]:
    left, right = ({node["path"]: node for node in edits["deviceNodes"]} for edits in (ours, theirs))
    for path in sorted(left.keys() | right.keys()):
        mine, its = (_fields(nodes.get(path)) for nodes in (left, right))
        absent = path not in left or path not in right
        why = "" if not absent else "graphics" if "/dri/" in path else "only one of them has it"
        yield _row("device node", path, mine, its, why or NODE_FIELDS)


NODE_FIELDS = "numbers and mode come from the node itself when ours is applied; m (mknod) is not given"


def _fields(node: Json | None) -> str:
    if node is None:
        return "-"
    shown = {key: f"{value:o}" if key == "fileMode" else value for key, value in node.items() if key != "path"}
    return " ".join(f"{key}={value}" for key, value in shown.items())


def _mounts(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Row]:
    left, right = (_by_file(edits["mounts"]) for edits in (ours, theirs))
    for host in sorted(left.keys() | right.keys()):
        mine, its = (", ".join(sorted(found.get(host, ()))) or "-" for found in (left, right))
        if host not in left:
            why = _left_out(host)
        elif host not in right:
            why = "NVIDIA's list does not have it"
        else:
            why = "folders that glibc searches by itself, under each name; theirs is the path below the driver root"
        yield _row("mount", host, mine, its, why)
    options = [{" ".join(mount.get("options", ())) for mount in edits["mounts"]} for edits in (ours, theirs)]
    yield _row("mount", "options", *(", ".join(sorted(found)) for found in options))


def _left_out(name: str) -> str:
    return next((why for pattern, why in LEFT_OUT if re.search(pattern, name)), "not among what CUDA and NVML load")


def _by_file(mounts: Sequence[Json]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for mount in mounts:
        found.setdefault(mount["hostPath"], set()).add(mount["containerPath"])
    return found


def _names(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Row]:
    """Which libraries a program can load by which name, whatever makes the name: a mount or a link."""
    left, right = (_loadable(edits) for edits in (ours, theirs))
    for name in sorted(left | right):
        if name in left and name in right:
            yield Row("name to load", name, "yes", "yes", True)
        elif name in right:
            yield Row("name to load", name, "-", "yes", False, _left_out(name))
        else:
            why = "it lies in the driver's folder; NVIDIA's links leave it out"
            yield Row("name to load", name, "yes", "-", False, why)


def _loadable(edits: Mapping[str, Any]) -> set[str]:
    names = {PurePosixPath(mount["containerPath"]).name for mount in edits["mounts"]}
    for hook in edits["hooks"]:
        arguments = hook.get("args", [])
        if "create-symlinks" in arguments:
            names |= {PurePosixPath(word.partition("::")[2]).name for word in arguments if "::" in word}
    return {name for name in names if ".so" in name}


def _variables(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Row]:
    left, right = (dict(entry.partition("=")[::2] for entry in edits["env"]) for edits in (ours, theirs))
    for name in sorted(left.keys() | right.keys()):
        why = "tells NVIDIA's own tools where libcuda was mounted" if name == "NVIDIA_CTK_LIBCUDA_DIR" else ""
        yield _row("variable", name, left.get(name, "-"), right.get(name, "-"), why)


def _hooks(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Row]:
    for hook in theirs["hooks"]:
        name = next((word for word in hook.get("args", ()) if word in HOOKS), " ".join(hook.get("args", ())[:2]))
        does, otherwise = HOOKS.get(name, ("not known to this comparison", "not done"))
        yield Row("hook", f"{hook['hookName']} {name}", "-", does, False, otherwise)
    for hook in ours["hooks"]:
        yield Row("hook", hook["hookName"], " ".join(hook.get("args", ())), "-", False)


def _row(part: str, name: str, mine: Any, its: Any, why: str = "") -> Row:
    same = mine == its
    return Row(part, name, str(mine), str(its), same, "" if same else why)


def _short(name: str) -> str:
    return "UUID" if re.fullmatch(r"GPU-[0-9a-f-]{36}", name) else name
