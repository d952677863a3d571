"""Writes src/gpuready/knowledge/crd_fields.yaml: since which release the GPU Operator's CRDs know each field of a spec.

usage: python docs/make/crd_fields.py FOLDER
FOLDER holds VERSION/crds/*.yaml, copied from github.com/NVIDIA/gpu-operator, deployments/gpu-operator, at tag VERSION.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).resolve().parents[2] / "src/gpuready/knowledge/crd_fields.yaml"
NAMES = ("clusterpolicies.nvidia.com", "nvidiadrivers.nvidia.com")
HEAD = """\
# Top-level fields of a spec, by CRD of NVIDIA's GPU Operator, and the oldest release read whose schema knows them.
# None was taken away again in the releases read. Made by docs/make/crd_fields.py.
source: github.com/NVIDIA/gpu-operator, deployments/gpu-operator/crds at the tag of each release
"""


def order(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def crds(folder: Path) -> Iterator[tuple[str, set[str]]]:
    for path in sorted((folder / "crds").glob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text()):
            if crd and crd["metadata"]["name"] in NAMES:
                yield crd["metadata"]["name"], set(schema(crd["spec"])["properties"]["spec"]["properties"])


def schema(spec: dict[str, Any]) -> dict[str, Any]:
    """`validation`: apiextensions.k8s.io/v1beta1, until 1.5."""
    whole = spec["validation"] if "validation" in spec else spec["versions"][-1]["schema"]
    found: dict[str, Any] = whole["openAPIV3Schema"]
    return found


def main(folder: Path) -> None:
    releases = sorted((path for path in folder.iterdir() if (path / "crds").is_dir()), key=lambda p: order(p.name))
    since: dict[str, dict[str, str]] = {name: {} for name in NAMES}
    for release in releases:
        for name, fields in crds(release):
            if gone := set(since[name]) - fields:
                raise SystemExit(f"{release.name}: {name} has no {', '.join(sorted(gone))} any more")
            for field in sorted(fields):
                since[name].setdefault(field, release.name.removeprefix("v"))
    listed = [release.name.removeprefix("v") for release in releases]
    body = yaml.safe_dump({"releases": listed}, default_flow_style=None, width=1000)
    DATA.write_text(HEAD + body + yaml.safe_dump({"since": since}, sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
