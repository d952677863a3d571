"""The platforms there are, found by walking this folder, and which of them a cluster is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from gpuready import platforms as package
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.traits import Platform


@cache
def platforms() -> Mapping[str, Platform]:
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            platform = importlib.import_module(f"{package.__name__}.{module.name}.platform").PLATFORM
            found[platform.name] = platform
    return found


def detect(cluster: ClusterFacts) -> tuple[Platform, str]:
    """The platform with the weightiest evidence, and that evidence; a tie is for the user to decide."""
    seen = [(found.weight, name, found.evidence) for name, p in platforms().items() if (found := p.detect(cluster))]
    seen.sort(reverse=True)
    if len(seen) > 1 and seen[0][0] == seen[1][0]:
        raise UserError(
            f"the cluster looks like {seen[0][1]} ({seen[0][2]}) and like {seen[1][1]} ({seen[1][2]})",
            "say which with --platform",
        )
    return platforms()[seen[0][1]], seen[0][2]
