"""Writes src/gpuready/knowledge/operator_values.yaml: every value of every release of the GPU Operator's chart that was
read, and in which releases it is.

usage: python docs/make/operator_values.py FOLDER
FOLDER holds VERSION/values.yaml, copied from github.com/NVIDIA/gpu-operator, deployments/gpu-operator, at tag VERSION.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).resolve().parents[2] / "src/gpuready/knowledge/operator_values.yaml"
# `#version: ""` or `# metrics:` below its mapping: a value that the templates read and that has no default
OPTIONAL = re.compile(r"^( *)# ?([a-z][A-Za-z]*):( *$| +[\"\[{0-9]| +(true|false)$)")
# what Kubernetes defines, or the user names
FREE = ("nodeSelector", "affinity", "securityContext", "podSecurityContext", "resources", "labels", "annotations")
OPEN = ".*"  # whatever lies below is the user's, or a chart's within this one
HEAD = """\
# Values of NVIDIA's GPU Operator chart by path, and the releases that have them: "24.9.2" from that one on,
# "1.4.0-23.9.2" from the one to the other. Below a path that ends in ".*" lies what the user likes.
# Made by docs/make/operator_values.py from values.yaml (keys that are commented out there too) of the tags named.
# Only these releases were read: for one that lies between two of them the older one's values are taken.
source: github.com/NVIDIA/gpu-operator, deployments/gpu-operator/values.yaml at the tag of each release
"""


def paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            # a subchart has values of its own, of which the parent's file names only some
            free = key in FREE or (not path and "-" in key)
            here = f"{path}.{key}".lstrip(".")
            yield from [here + OPEN] if free else paths(inner, here)
    else:
        yield f"{path}{OPEN}" if isinstance(value, dict) or value is None else path


def optional(text: str) -> Iterator[str]:
    """Paths of the keys that are commented out, by their indentation below the mapping that holds them."""
    stack: list[tuple[int, str]] = []
    for line in text.splitlines():
        if found := re.match(r"^( *)([A-Za-z][A-Za-z-]*):", line):
            indent = len(found[1])
            stack = [(i, k) for i, k in stack if i < indent] + [(indent, found[2])]
        elif found := OPTIONAL.match(line):
            above = [k for i, k in stack if i < len(found[1])]
            stack = [(i, k) for i, k in stack if i < len(found[1])] + [(len(found[1]), found[2])]
            if above and "-" not in above[0]:
                yield ".".join([*above, found[2]])


def values_of(text: str) -> set[str]:
    named = set(paths(yaml.safe_load(text)))
    stems = {p.removesuffix(OPEN) for p in named}
    parents = {p[:i] for p in stems for i, c in enumerate(p) if c == "."}
    more = {p for p in optional(text) if p not in stems | parents}
    inner = {p for p in more for above in more | stems if p.startswith(f"{above}.")}
    return named | {p + OPEN for p in more - inner}


def repositories(values: Any, path: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in values.items():
        if key == "repository" and inner:
            yield path, inner
        elif isinstance(inner, dict):
            yield from repositories(inner, f"{path}.{key}".lstrip("."))


def order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def spans(have: list[bool], versions: list[str]) -> str:
    out, start = [], None
    for i, there in enumerate([*have, False]):
        if there and start is None:
            start = i
        if not there and start is not None:
            last = i - 1
            if i == len(versions):
                out.append(versions[start])
            else:
                out.append(f"{versions[start]}-{versions[last]}")
            start = None
    return ", ".join(out)


def main(folder: Path) -> None:
    texts = {p.parent.name.removeprefix("v"): p.read_text() for p in folder.glob("v*/values.yaml")}
    versions = sorted(texts, key=order)
    found = {v: values_of(texts[v]) for v in versions}
    lines = [HEAD, f"releases: [{', '.join(versions)}]\n", "values:\n"]
    for path in sorted(set().union(*found.values())):
        lines.append(f'  {path}: "{spans([path in found[v] for v in versions], versions)}"\n')
    lines.append("repositories:  # where the images of a part of the chart come from unless told otherwise\n")
    mirrored = {v: dict(repositories(yaml.safe_load(texts[v]))) for v in versions}
    for part in sorted({part for there in mirrored.values() for part in there}):
        places = sorted({there[part] for there in mirrored.values() if part in there})
        told = [f'{place}: "{spans([mirrored[v].get(part) == place for v in versions], versions)}"' for place in places]
        lines.append(f"  {part}: {{{', '.join(told)}}}\n")
    DATA.write_text("".join(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
