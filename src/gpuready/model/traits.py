"""The closed questions that a platform answers, so that nothing else needs to know its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from gpuready.model.facts.cluster import ClusterFacts


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    driver_owner: Literal["host", "operator", "provider"]  # who puts the kernel driver on a node
    runtime_config_owner: Literal["user", "installer", "provider"]  # who writes the container runtime's configuration
    driver_hint: str  # how a person gets the driver onto such a node


class Detection(msgspec.Struct, frozen=True):
    evidence: str
    weight: int  # the heaviest detection wins; a tie asks the user


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    traits: Traits
    detect: Callable[[ClusterFacts], Detection | None]
