"""Other owners of the GPUs: which pods and DaemonSets serve them, and which only watch."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gpuready.knowledge._files import load


class Image(msgspec.Struct, frozen=True):
    name: str
    source: str


class Plugins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, str]
    images: tuple[Image, ...]
    words: tuple[str, ...]
    not_gpus: tuple[Image, ...]
    observers: tuple[Image, ...]


DATA = load("plugins.yaml", Plugins)
SERVING = frozenset(i.name for i in DATA.images)
OTHERS = frozenset(i.name for i in DATA.not_gpus)
OBSERVERS = frozenset(i.name for i in DATA.observers)


def serves_gpus(images: Iterable[str], words: Iterable[str]) -> bool:
    """Whether something that mounts the kubelet's plugin directory serves NVIDIA GPUs.

    `words`: its name, command and arguments, in which a sign is looked for when no image is known.
    """
    images = tuple(images)
    names = {image_name(image) for image in images}
    if names & SERVING:
        return True
    if names & OTHERS:
        return False
    return any(sign in text.lower() for sign in DATA.words for text in (*images, *words))


def only_observes(images: Iterable[str]) -> bool:
    """Whether every image is one that watches GPUs without using them; False when there is none."""
    names = {image_name(image) for image in images}
    return bool(names) and names <= OBSERVERS


def image_name(image: str) -> str:
    """registry:5000/nvidia/k8s-device-plugin:v0.17.4@sha256:... -> k8s-device-plugin."""
    return image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[0]
