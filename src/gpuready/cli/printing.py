"""What the verbs print, in the format asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def documents(objects: Sequence[Any], output: str) -> str:
    """Kubernetes objects as a YAML stream, or as one JSON List."""
    if output == "json":
        import json

        return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}, indent=2) + "\n"
    import yaml

    return str(yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False, explicit_start=True))
