"""The JSON Schema: what editors are told is what `load` takes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from gpuready.adapters import specfile
from gpuready.cli.schema import command

HEAD = {"apiVersion": "gpuready.dev/v1alpha1", "kind": "GPUSetup", "metadata": {"name": "prod"}}
DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


def objects() -> dict[str, dict[str, Any]]:
    schema = specfile.schema()
    return {"GPUSetup": schema, **schema["definitions"]}


def fields() -> dict[str, dict[str, Any]]:
    return {f"{name}.{field}": value for name, o in objects().items() for field, value in o["properties"].items()}


def test_the_head_of_the_schema() -> None:
    schema = specfile.schema()
    head = {k: v for k, v in schema.items() if k not in ("properties", "definitions")}
    assert head == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://gpuready.dev/v1alpha1/gpusetup.schema.json",
        "title": "GPUSetup gpuready.dev/v1alpha1",
        "description": "What gpuready is asked to make of one cluster.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
    }


def test_fields_as_an_editor_gets_them() -> None:
    """One of each shape: text, number, choice, list, mapping, section."""
    shown = fields()
    assert {name: shown[name] for name in ("Metadata.name", "Agent.metricsPort", "Agent.injection", "Setup.nodes")} == {
        "Metadata.name": {
            "description": "Name of this setup, for the reader.",
            "type": "string",
            "maxLength": 253,
            "pattern": f"^{DNS}$",
        },
        "Agent.metricsPort": {
            "description": "Port of the Prometheus metrics.",
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 65535,
            "default": 9400,
        },
        "Agent.injection": {
            "description": "How GPUs get into pods: cdi (the runtime reads a CDI file), devices (device nodes and "
            "library mounts), auto (cdi where the runtime has it without further configuration).",
            "enum": ["auto", "cdi", "devices", None],
            "default": "auto",
        },
        "Setup.nodes": {
            "description": "Which nodes: by name, by label, or both; without either all that have NVIDIA GPUs.",
            "anyOf": [{"$ref": "#/definitions/NodeChoice"}, {"type": "null"}],
            "default": {},
        },
    }


def test_every_object_is_closed_and_described() -> None:
    bare = [name for name, o in objects().items() if o["additionalProperties"] is not False or not o["description"]]
    assert bare == []


def test_every_field_is_described_but_those_that_explain_themselves() -> None:
    bare = [name for name, field in fields().items() if "description" not in field]
    assert bare == ["GPUSetup.apiVersion", "GPUSetup.kind", "GPUSetup.metadata", "GPUSetup.spec"]


def test_every_reference_leads_somewhere() -> None:
    schema = specfile.schema()
    named = set(re.findall(r'"\$ref": "#/definitions/(\w+)"', json.dumps(schema)))
    assert named == set(schema["definitions"])


def sections() -> list[str]:
    return [name for name in fields() if not name.startswith(("GPUSetup.", "Metadata."))]


PLACES = {"Setup": (), "Cluster": ("cluster",), "Image": ("image",), "NodeChoice": ("nodes",), "Driver": ("driver",)}
PLACES |= {"Agent": ("agent",), "Toleration": ("nodes", "tolerations", 0), "GpuOperator": ("gpuOperator",)}
PLACES |= {"OperatorDriver": ("gpuOperator", "driver"), "Proxy": ("gpuOperator", "proxy")}
NEEDED: dict[str, dict[str, str]] = {"Cluster": {"uid": "1"}, "Image": {"reference": "a"}, "Toleration": {"key": "a"}}


def document(name: str, value: Any) -> dict[str, Any]:
    """A spec in which the field of that name has that value."""
    owner, _, field = name.partition(".")
    inner: Any = {**NEEDED.get(owner, {}), field: value}
    for step in reversed(PLACES[owner]):
        inner = [inner] if step == 0 else {step: inner}
    return {**HEAD, "spec": inner}


@pytest.mark.parametrize("name", sections())
def test_examples_choices_and_defaults_of_the_schema_are_taken_by_load(name: str) -> None:
    field = fields()[name]
    offered = [*field.get("examples", []), *field.get("enum", []), *([field["default"]] if "default" in field else [])]
    for value in offered:
        extra = {"Equal": {"value": "x"}}.get(value, {}) if name == "Toleration.operator" else {}
        extra = {"operator": "Equal"} if name == "Toleration.value" and value else extra
        given = document(name, value)
        if extra:
            given["spec"]["nodes"]["tolerations"][0] |= extra
        specfile.load(json.dumps(given), "f.yaml")


@pytest.mark.parametrize("name", sections())
def test_null_is_offered_where_load_takes_it_and_only_there(name: str) -> None:
    field = fields()[name]
    offered = (
        None in field.get("enum", []) or "null" in field.get("type", []) or {"type": "null"} in field.get("anyOf", [])
    )
    try:
        specfile.load(json.dumps(document(name, None)), "f.yaml")
        taken = True
    except specfile.SpecError:
        taken = False
    assert offered == taken


def test_the_verb_prints_json_and_yaml_of_the_same() -> None:
    as_json, as_yaml = CliRunner().invoke(command, []), CliRunner().invoke(command, ["-o", "yaml"])
    assert (as_json.exit_code, as_yaml.exit_code) == (0, 0)
    assert json.loads(as_json.stdout) == yaml.safe_load(as_yaml.stdout) == specfile.schema()
