"""What is installed beside this package and belongs in the image: gpuready and the distributions that it requires."""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

import gpuready
from gpuready.adapters.oci import Entry, Tree
from gpuready.model.errors import UserError

TERMINAL_ONLY = {"rich"}  # not followed, with what only they need: the image's entry points draw no tables
REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?[^;]*;?(.*)")
# Differs with the installer, names this machine's paths, or serves type checkers only.
LEFT_OUT = re.compile(
    r"(.*/)?(__pycache__/.*|[^/]*\.(pyc|pth|pyi)|py\.typed)|[^/]*\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)"
)
OWN_LEFT_OUT = re.compile(r"\..*|__pycache__|.*(\.pyc|\.pyi|~|\.orig|\.rej|\.partial)")


def dependency_tree(site: str, package: str = "gpuready") -> tuple[Tree, list[Path]]:
    """Files of every distribution that `package` requires, and those of them that are shared libraries."""
    tree: Tree = {}
    binaries = []
    for distribution in _required(package):
        for file in distribution.files or ():
            path = str(file)
            if path.startswith(("..", "/")) or LEFT_OUT.fullmatch(path):
                continue
            source = Path(str(file.locate()))
            tree[f"{site}/{path}"] = Entry(_read(source, distribution.name))
            if re.search(r"\.so(\.\d+)*$", path):
                binaries.append(source)
    return tree, binaries


def own_tree(site: str) -> Tree:
    """The gpuready package as it runs here; works for an editable installation too."""
    package = Path(gpuready.__file__).parent
    tree: Tree = {}
    for folder, folders, names in os.walk(package):
        folders[:] = sorted(name for name in folders if not OWN_LEFT_OUT.fullmatch(name))
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file() and not OWN_LEFT_OUT.fullmatch(name):
                tree[f"{site}/gpuready/{path.relative_to(package)}"] = Entry(path.read_bytes())
    return tree


def _required(package: str) -> list[metadata.Distribution]:
    """The distributions that `package` requires, without extras, sorted by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(package, False)]
    while waiting:
        name, optional = waiting.pop()
        if name in found or name in TERMINAL_ONLY:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            if optional:  # required only where its marker holds; installed means that it does
                continue
            raise UserError(
                f"{name}, which {package} requires, is not installed here", f"pip install {package}"
            ) from error
        waiting += _requirements(found[name])
    del found[package]
    for name, distribution in found.items():
        if distribution.files is None:
            raise UserError(
                f"{name} has no list of its files (RECORD)", "install gpuready with pip in a virtual environment"
            )
    return [found[name] for name in sorted(found)]


def _requirements(distribution: metadata.Distribution) -> list[tuple[str, bool]]:
    """(name, has a marker) for each requirement that no extra asks for."""
    matches = [REQUIREMENT.fullmatch(line) for line in distribution.requires or ()]
    return [
        (re.sub(r"[-_.]+", "-", match[1]).lower(), bool(match[2].strip()))
        for match in matches
        if match and not re.search(r"\bextra\b", match[2])
    ]


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{name} is damaged: {path}: {error.strerror}", f"pip install --force-reinstall {name}"
        ) from error
