"""Distributions that bring their own containerd and write its configuration themselves."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache

import msgspec

from gpuready.knowledge._files import load


class Distribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    config: str  # the file that its containerd reads
    template: str  # what is to stay is written there: config is made from it at every start
    socket: str
    restart: str
    source: str
    template_1: str = ""  # the same for containerd 1.x, where it is another file
    kubelet: str = ""  # by which part of the kubelet's version it is known
    label: str = ""  # or by which label of its nodes
    finds: bool = False  # it writes an entry for each runtime of NVIDIA's that it finds when it starts

    def template_of(self, containerd: tuple[int, int]) -> str:
        return self.template_1 if self.template_1 and (0, 0) < containerd < (2, 0) else self.template

    def mend(self, handler: str, containerd: tuple[int, int]) -> str:
        """What a person does on such a node, so that it stays. `containerd`: its version, (2, 1)."""
        template = self.template_of(containerd)
        if self.finds:
            return (
                f"install the NVIDIA container toolkit there, then {self.restart}: {self.name} writes the entry by"
                f" itself, unless {template} is there and leaves it out"
            )
        return f"write the runtime {handler} into {template}, then {self.restart}"


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: str
    sources: Mapping[str, str]
    distributions: tuple[Distribution, ...]


@cache
def data() -> Data:
    """Not before it is asked for: a node's agent starts without a YAML reader."""
    return load("distributions.yaml", Data)


def of_node(kubelet: str, labels: Mapping[str, str]) -> Distribution | None:
    """By the version of its kubelet, v1.34.1+k3s1, or by its labels."""
    for one in data().distributions:
        if (one.kubelet and one.kubelet in kubelet) or (one.label and one.label in labels):
            return one
    return None


def of_config(path: str) -> Distribution | None:
    """The one whose containerd reads this file; a snap's own path has its revision in place of `current`."""
    patterns = ((one, one.config.replace("/current/", "/*/")) for one in data().distributions)
    return next((one for one, pattern in patterns if fnmatchcase(path, pattern)), None)


def configs() -> tuple[str, ...]:
    return tuple(one.config for one in data().distributions)
