"""The JSON Schema of gpuready.yaml, for editors."""

from __future__ import annotations

from typing import Any

import msgspec

from gpuready.model.spec import API_VERSION, KIND, GPUSetup

DRAFT = "http://json-schema.org/draft-07/schema#"  # what yaml-language-server and with it most editors understand
ID = f"https://{API_VERSION}/{KIND.lower()}.schema.json"  # a name; nothing is fetched from it


def schema() -> dict[str, Any]:
    """Draft 07. Fields that may be left out may be empty too, as `specfile.load` has it."""
    _, parts = msgspec.json.schema_components([GPUSetup], ref_template="#/definitions/{name}")
    for part in parts.values():
        for name, field in part["properties"].items():
            if name not in part["required"]:
                part["properties"][name] = _or_null(field)
    root = parts.pop(KIND)
    whole = {"$schema": DRAFT, "$id": ID, **root, "title": f"{KIND} {API_VERSION}", "definitions": parts}
    return msgspec.json.decode(msgspec.json.encode(whole), type=dict[str, Any])  # defaults are tuples still


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    if "enum" in field:
        return {**field, "enum": [*field["enum"], None]}
    if "$ref" in field:
        reference = field.pop("$ref")
        return {**field, "anyOf": [{"$ref": reference}, {"type": "null"}]}
    return {**field, "type": [field["type"], "null"]} if "type" in field else field
