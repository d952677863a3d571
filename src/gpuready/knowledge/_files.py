"""Reads the dated data files beside the query modules."""

from __future__ import annotations

from importlib.resources import files
from typing import TypeVar

import msgspec
import yaml

T = TypeVar("T")


def load(name: str, kind: type[T]) -> T:
    """The file `name` as the given type; a file that does not fit is a fault of the program and raises."""
    text = files("gpuready.knowledge").joinpath(name).read_text(encoding="utf-8")
    return msgspec.convert(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), kind)
