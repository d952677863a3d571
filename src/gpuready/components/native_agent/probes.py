"""Pods that look, compute or clean on one node, print one line of JSON, and are removed."""

from __future__ import annotations

import hashlib
from typing import Any

from gpuready.components.native_agent.component import (
    CDI_DIR,
    KUBELET,
    NOBODY,
    PROBE_PRIORITY,
    image_fields,
    tolerations,
)
from gpuready.model.names import MANAGED_BY, NAMESPACE, RESOURCE
from gpuready.model.spec import Setup

Json = dict[str, Any]

LOCKED_DOWN: Json = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
AS_NOBODY: Json = {**LOCKED_DOWN, "runAsNonRoot": True, "runAsUser": NOBODY, "runAsGroup": NOBODY}
DRIVER_CONTAINER_ROOT = "/run/nvidia"


def pod_name(kind: str, node: str) -> str:
    """gpuready-look-<node>, shortened with a hash of the node's name where it would pass 63 characters."""
    name = f"gpuready-{kind}-{node.replace('.', '-')}"
    return name if len(name) <= 63 else f"{name[:52]}-{hashlib.sha256(node.encode()).hexdigest()[:10]}"


def look_pod(setup: Setup, node: str, driver_container: bool = False) -> Json:
    """Reads /sys, /proc/driver, /usr and names in /dev, as nobody, without a token; /run/nvidia only where a driver
    container is known to run (a missing host path would be created by the runtime)."""
    paths = ["/sys", "/proc/driver", "/usr", "/dev", *([DRIVER_CONTAINER_ROOT] if driver_container else [])]
    volumes = [{"name": _slug(p), "hostPath": {"path": p, "type": "Directory"}} for p in paths]
    mounts = [{"name": _slug(p), "mountPath": f"/host{p}", "readOnly": True} for p in paths]
    container = {
        "args": ["probe", "look", "--host-prefix=/host", f"--node={node}"],
        "securityContext": AS_NOBODY,
        "volumeMounts": mounts,
    }
    return _pod(setup, "look", node, container, volumes, seconds=120)


def compute_pod(setup: Setup, node: str, gpus: int, nonce: str) -> Json:
    """An ordinary unprivileged pod that gets `gpus` GPUs through scheduler, kubelet and device plugin."""
    container = {
        "args": ["probe", "cuda", f"--nonce={nonce}", f"--node={node}", f"--expect={gpus}"],
        "securityContext": AS_NOBODY,
        "resources": {"limits": {RESOURCE: str(gpus)}},
    }
    pod = _pod(setup, "compute", node, container, [], seconds=180)
    pod["spec"]["priorityClassName"] = PROBE_PRIORITY
    return pod


def clean_pod(setup: Setup, node: str) -> Json:
    """Removes our CDI file and plugin socket from the node, and says what it removed."""
    plugins = f"{KUBELET}/device-plugins"
    volumes = [
        {"name": "device-plugins", "hostPath": {"path": plugins, "type": "Directory"}},
        {"name": "cdi", "hostPath": {"path": CDI_DIR, "type": "DirectoryOrCreate"}},
    ]
    mounts = [
        {"name": "device-plugins", "mountPath": f"/host{plugins}"},
        {"name": "cdi", "mountPath": f"/host{CDI_DIR}"},
    ]
    container = {
        "args": ["probe", "clean", "--host-prefix=/host"],
        "securityContext": {**LOCKED_DOWN, "runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}},
        "volumeMounts": mounts,
    }
    return _pod(setup, "clean", node, container, volumes, seconds=120)


def _slug(path: str) -> str:
    return path.strip("/").replace("/", "-")


def _pod(setup: Setup, kind: str, node: str, container: Json, volumes: list[Json], seconds: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(kind, node),
            "namespace": NAMESPACE,
            "labels": {**MANAGED_BY, "app.kubernetes.io/name": f"gpuready-{kind}"},
            "annotations": {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": seconds,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "tolerations": tolerations(setup),
            **image_fields(setup),
            # by affinity, not by nodeName: the scheduler must agree, and an autoscaler has nothing to add
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
                        ]
                    }
                }
            },
            "containers": [
                {
                    "name": kind,
                    "image": setup.image.reference if setup.image else "",
                    "imagePullPolicy": "IfNotPresent",
                    **container,
                }
            ],
            "volumes": volumes,
        },
    }
