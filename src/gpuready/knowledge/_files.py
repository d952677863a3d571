"""Reads the dated data files beside the query modules."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def load(name: str, kind: type[T]) -> T:
    """The file `name` as the given type; a file that does not fit is a fault of the program and raises.

    Imported here, since a node's agent knows a table that it may never need.
    """
    from importlib.resources import files

    import yaml

    text = files("gpuready.knowledge").joinpath(name).read_text(encoding="utf-8")
    return msgspec.convert(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), kind)
