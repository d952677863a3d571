"""Takes away what the agent leaves on the node when it is gone for good."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

from gpuready.node import cdi, faults
from gpuready.node.kubelet import socket_name


class Cleaned(NamedTuple):
    removed: list[Path]
    left: list[tuple[Path, str]]  # and why


def clean(kubelet_dir: Path, cdi_dir: Path, resource: str = "nvidia.com/gpu") -> Cleaned:
    """Removes each of our files that is there, whatever becomes of the others.

    A socket at which somebody answers belongs to a living device plugin, ours or another's, and is left.
    """
    plugin_socket = kubelet_dir / "device-plugins" / socket_name(resource)
    ours = [cdi_dir / cdi.FILE, cdi_dir / faults.FILE]
    if plugin_socket.is_socket() and not is_served(plugin_socket):
        ours.append(plugin_socket)
    done = Cleaned([], [])
    for path in ours:
        try:
            path.unlink()
            done.removed.append(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            done.left.append((path, error.strerror or type(error).__name__))
    return done


def is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # somebody holds it, though not answering
        return True
