"""Everything that is in a cluster, made comparable: what no two equal clusters share is left out, by a written list."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

from gpuready.adapters.kube import Client, connect
from testbed import Testbed

Json = dict[str, Any]

# Names of runs, and the moment at which an agent began: equal clusters differ in these.
DIFFERS_BY_RUN = re.compile(rb'(nvidia\.com/gfd\.timestamp":")\d+|\d{8}t\d{6}-[0-9a-f]{6}')

# Why each is left out:
KINDS_LEFT_OUT = {
    "Event": "the log of what happened; expires by itself",
    "Lease": "heartbeats of kubelets and controllers",
    "EndpointSlice": "made from services; none of ours",
    "APIService": "status only",
    "CSINode": "kubelet's own",
    "Pod": "compared by what makes them: their DaemonSet",
    "ControllerRevision": "the DaemonSet's own history",
    "ComponentStatus": "health of the control plane",
}
METADATA_LEFT_OUT = (
    "uid",  # new for every object
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",  # who wrote what is compared apart, by `managers`
)
ANNOTATIONS_LEFT_OUT = ("deprecated.daemonset.template.generation",)  # the API server counts the changes of a DaemonSet
NODE_STATUS_LEFT_OUT = ("images", "conditions")  # pulled images stay (known remains); conditions are compared by type


def snapshot(testbed: Testbed) -> dict[str, Json]:
    """kind/namespace/name -> the object, reduced to what must be equal."""
    out: dict[str, Json] = {}
    with connect(testbed.kubeconfig) as client:
        for kind, path in _collections(client):
            for obj in _get(client, path).get("items") or ():
                meta = obj["metadata"]
                out[f"{kind}/{meta.get('namespace', '')}/{meta['name']}"] = _reduced(kind, obj)
    return msgspec.json.decode(DIFFERS_BY_RUN.sub(rb"\1*", msgspec.json.encode(out)))


def settled(testbed: Testbed, seconds: float = 30.0) -> dict[str, Json]:
    """The snapshot once it has stayed the same for three seconds: agents and kubelets write after a run has ended."""
    end, since, last = time.monotonic() + seconds, time.monotonic(), snapshot(testbed)
    while time.monotonic() < since + 3:
        assert time.monotonic() < end, "the cluster does not come to rest"
        time.sleep(0.5)
        now = snapshot(testbed)
        if now != last:
            since, last = time.monotonic(), now
    return last


def _get(client: Client, path: str) -> Json:
    return msgspec.json.decode(client.get_raw(path))


def _collections(client: Client) -> list[tuple[str, str]]:
    """Kind and path of every listable resource, each group in its preferred version."""
    bases = ["/api/v1"]
    bases += [f"/apis/{g['preferredVersion']['groupVersion']}" for g in _get(client, "/apis")["groups"]]
    out = []
    for base in bases:
        for resource in _get(client, base)["resources"]:
            listable = "/" not in resource["name"] and "list" in resource["verbs"]
            if listable and resource["kind"] not in KINDS_LEFT_OUT:
                out.append((resource["kind"], f"{base}/{resource['name']}"))
    return out


def _reduced(kind: str, obj: Json) -> Json:
    meta = {k: v for k, v in obj["metadata"].items() if k not in METADATA_LEFT_OUT}
    if annotations := meta.get("annotations"):
        meta["annotations"] = {k: v for k, v in annotations.items() if k not in ANNOTATIONS_LEFT_OUT}
    meta["managers"] = sorted({m["manager"] for m in obj["metadata"].get("managedFields") or ()})
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "apiVersion", "kind")}
    special: dict[str, Callable[[Json], Json]] = {"Node": _node, "Secret": _secret, "DaemonSet": _without_status}
    return {"metadata": meta, **special.get(kind, _same)(rest)}


def _same(rest: Json) -> Json:
    return rest


def _without_status(rest: Json) -> Json:
    return {k: v for k, v in rest.items() if k != "status"}


def _node(rest: Json) -> Json:
    status = {k: v for k, v in rest["status"].items() if k not in NODE_STATUS_LEFT_OUT}
    status["conditionTypes"] = sorted(c["type"] for c in rest["status"]["conditions"])
    return {**rest, "status": status}


def _secret(rest: Json) -> Json:
    """A journal differs from run to run; that there is one is compared, not what it says."""
    return {k: v for k, v in rest.items() if k != "data"} if rest.get("type") == "gpuready.dev/journal" else rest


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Paths of what is not as it was, into nested objects; "+" added, "-" gone, "~" another value."""
    found = [f"- {key}" for key in before.keys() - after.keys()] + [f"+ {key}" for key in after.keys() - before.keys()]
    for key in before.keys() & after.keys():
        old, new = before[key], after[key]
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{entry[:2]}{key}: {entry[2:]}" for entry in differences(old, new)]
        else:
            found.append(f"~ {key}: {str(old)[:120]} -> {str(new)[:120]}")
    return sorted(found)
