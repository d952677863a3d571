"""Makes docs/reference from the program itself: every verb with its options, every field of the spec, every rule.

usage: python docs/make/reference.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gpuready.adapters.specfile_schema import schema
from gpuready.cli.main import HIDDEN, VERBS, cli
from gpuready.engine import catalog
from gpuready.model.chain import position

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
MADE = "<!-- made by docs/make/reference.py -->\n"
Json = dict[str, Any]


def pages() -> dict[str, str]:
    """File name -> text."""
    return {"verbs.md": verbs(), "spec.md": spec(), "rules.md": rules()}


def verbs() -> str:
    helps = [_help(cli, None, "gpuready")]
    for name in VERBS:
        helps += _helps(name)
    return f"{MADE}# Verbs\n\n" + "\n".join(helps)


def _helps(name: str) -> Iterator[str]:
    with click.Context(cli, info_name="gpuready", **cli.context_settings) as parent:
        command = cli.get_command(parent, name)
        assert command is not None
        assert name not in HIDDEN
        yield _help(command, parent, name)
        if isinstance(command, click.Group):
            with click.Context(command, parent=parent, info_name=name) as group:
                for inner in command.list_commands(group):
                    found = command.get_command(group, inner)
                    assert found is not None
                    yield _help(found, group, inner)


def _help(command: click.Command, parent: click.Context | None, name: str) -> str:
    settings = {**command.context_settings, "terminal_width": 96, "max_content_width": 96}
    with click.Context(command, parent=parent, info_name=name, **settings) as context:
        return f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"


def spec() -> str:
    whole = schema()
    rows = "\n".join(_fields(whole["definitions"]["Setup"], whole["definitions"], "spec"))
    head = "`gpuready schema` prints the same as JSON Schema, for editors. `gpuready init` writes a commented file."
    return f"{MADE}# gpuready.yaml\n\n{head}\n\n| field | type | default | what |\n|---|---|---|---|\n{rows}\n"


def _fields(definition: Json, all_: Json, path: str) -> Iterator[str]:
    for name, field in definition["properties"].items():
        ref, many = _ref(field)
        default = field.get("default")
        shown = "" if default in (None, "", [], {}) else f"`{default}`"
        here = f"{path}.{name}{'[]' if many else ''}"
        kind = f"{'list of ' if many else ''}{_type(field, ref)}"
        yield f"| `{here}` | {kind} | {shown} | {field.get('description', '')} |"
        if ref:
            yield from _fields(all_[ref], all_, here)


def _ref(field: Json) -> tuple[str, bool]:
    """Name of the definition that the field, or each of its items, is of; "" where it is a plain value."""
    inner = field.get("items", field)
    choices = inner.get("anyOf", [inner])
    found = next((c["$ref"] for c in choices if "$ref" in c), "")
    return found.rsplit("/", 1)[-1], "items" in field


def _type(field: Json, ref: str) -> str:
    if ref:
        return "object"
    inner = field.get("items", field)
    values = [v for v in inner.get("enum", []) if v]
    if values:
        return ", ".join(f"`{v}`" for v in values)
    kinds = [choice.get("type") for choice in inner.get("anyOf", [inner])]
    flat = [kind for each in kinds for kind in ([each] if isinstance(each, str) else each)]
    return next(kind for kind in flat if kind != "null")


def rules() -> str:
    text = [f"{MADE}# Rules\n"]
    headings = {
        "preflight": "What `plan` and `up` look at first: refuse, ask or warn",
        "verify": "What `verify` asks of every GPU",
    }
    for layer, heading in headings.items():
        rows = [f"| `{rule.id}` | {rule.effect} | {rule.title} |" for rule in catalog.rules(layer)]
        text.append(f"## {heading}\n\n| rule | effect | what |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    text.append(diagnoses())
    return "\n".join(text)


def diagnoses() -> str:
    """In the order of the chain: what breaks first stands first; with what `doctor --fix` mends."""
    mended = {rule for rule, remedy in catalog.remedies().items() if remedy.does}
    found = sorted(catalog.rules("diagnose"), key=lambda rule: (position(rule.link), rule.id))
    rows = [
        f"| `{rule.id}` | {rule.link} | {rule.title}{' (symptom)' if rule.symptom else ''}"
        f" | {'yes' if rule.id in mended else ''} |"
        for rule in found
    ]
    head = "## What `doctor` looks for\n\n| rule | link of the chain | what | `--fix` |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def main() -> None:
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)


if __name__ == "__main__":
    main()
