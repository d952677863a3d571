"""What a CDI file names (cncf-tags/container-device-interface, SPEC.md 1.1.0): its devices, and the host's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gpuready.model.facts.host import CdiSpec
from gpuready.model.unknown import Unknown

MOST = 1024  # devices, and host paths, of one file
SHOWN = 16  # of each that are kept
LONGEST = 512


def read_cdi(path: str, text: str, there: Callable[[str], bool | Unknown]) -> CdiSpec:
    """`there` answers for host paths. A file that a runtime would refuse has a problem, and names nothing."""
    try:
        spec = _parsed(path, text)
    except ValueError as error:
        return CdiSpec(path=path, problem=_shown(str(error)))
    devices = [d for d in _list(spec.get("devices"))[:MOST] if isinstance(d, Mapping)]
    named = dict.fromkeys(p for edits in (spec, *devices) for p in host_paths(edits.get("containerEdits")))
    found = {p: there(p) for p in list(named)[:MOST]}
    return CdiSpec(
        path=path,
        kind=_shown(spec.get("kind")),
        devices=tuple(_shown(device.get("name")) for device in devices),
        missing=tuple(p for p, is_there in found.items() if is_there is False)[:SHOWN],
        hidden=tuple(p for p, is_there in found.items() if isinstance(is_there, Unknown))[:SHOWN],
    )


def host_paths(edits: Any) -> Iterator[str]:
    """Device nodes, mounts and hook programs: what has to be on the host when a container is made."""
    for field, key in (("deviceNodes", "hostPath"), ("mounts", "hostPath"), ("hooks", "path")):
        for one in _list(edits.get(field) if isinstance(edits, Mapping) else None):
            if not isinstance(one, Mapping):
                continue
            place = one.get(key) or (one.get("path") if field == "deviceNodes" else None)
            if isinstance(place, str) and place.startswith("/") and len(place) <= LONGEST and place.isprintable():
                yield place


def _parsed(path: str, text: str) -> Mapping[str, Any]:
    """Raises ValueError."""
    from gpuready.adapters.yamlfile import NotYaml, parse, plain
    from gpuready.node.runtime_read import Unreadable, parse_json

    try:
        if path.endswith(".json"):
            return parse_json(text)
        node, problems = parse(text)
    except (NotYaml, Unreadable) as error:
        raise ValueError(str(error)) from None
    if problems or node is None:
        raise ValueError(problems[0].message if problems else "it is empty")
    found = plain(node)
    if not isinstance(found, Mapping):
        raise ValueError("it is no mapping")
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(value: Any) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(value or "")[:160])
