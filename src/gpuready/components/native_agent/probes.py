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
from gpuready.model.plan import RuntimeEntry
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


# Which of the runtimes' folders below /etc there are is not known before, and a pod that names one which is not there
# would make it or never start: so /etc is mounted, and read by nobody.
HOST_PATHS = ("/etc", "/usr", "/lib", "/sys", "/proc/driver", "/dev", f"{KUBELET}/device-plugins")


def host_pod(
    setup: Setup, node: str, cdi: bool = False, driver_container: bool = False, runtime_config: str = ""
) -> Json:
    """Reads the state of a node for the doctor, without a token and without a capability, wherever taints keep others
    away. As nobody of group root: kubespray writes containerd's configuration with mode 0640, and the kubelet keeps its
    plugins' sockets in a folder of mode 0750. What it prints are names, versions and paths, redacted in the pod.

    `cdi`, `driver_container`: a part of a GPU stack, or a driver's pod, runs on the node, so that its folder is there.
    `runtime_config`: folder in which the node's distribution keeps the configuration of its own containerd.
    """
    more = (CDI_DIR if cdi else "", DRIVER_CONTAINER_ROOT if driver_container else "", runtime_config)
    paths = [*HOST_PATHS, *(path for path in more if path and not path.startswith("/etc/"))]
    volumes = [
        {"name": _slug(p), "hostPath": {"path": p, "type": "DirectoryOrCreate" if p == CDI_DIR else "Directory"}}
        for p in paths
    ]
    container = {
        "args": ["probe", "host", "--host-prefix=/host", f"--node={node}", *(f"--seen={p}" for p in paths)],
        "securityContext": {**AS_NOBODY, "runAsGroup": 0},
        "resources": {"limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": _slug(p), "mountPath": f"/host{p}", "readOnly": True} for p in paths],
    }
    pod = _pod(setup, "host", node, container, volumes, seconds=120)
    pod["spec"]["tolerations"] = [{"operator": "Exists"}]
    return pod


def compute_pod(setup: Setup, node: str, gpus: int, nonce: str, runtime_class: str = "") -> Json:
    """An ordinary unprivileged pod that gets `gpus` GPUs through scheduler, kubelet and device plugin.

    `runtime_class`: of a stack whose runtime brings the driver's libraries.
    """
    container = {
        "args": ["probe", "cuda", f"--nonce={nonce}", f"--node={node}", f"--expect={gpus}"],
        "securityContext": AS_NOBODY,
        "resources": {"limits": {RESOURCE: str(gpus)}},
    }
    pod = _pod(setup, "compute", node, container, [], seconds=180)
    pod["spec"]["priorityClassName"] = PROBE_PRIORITY
    if runtime_class:
        pod["spec"]["runtimeClassName"] = runtime_class
        # NVIDIA's runtime gives a container that which its environment asks for, and ours is no CUDA image
        pod["spec"]["containers"][0]["env"] = [{"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}]
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


CONFIG_FOLDERS = {"containerd": "/etc/containerd", "cri-o": "/etc/crio", "docker": "/etc/docker"}


def runtime_pod(setup: Setup, action: RuntimeEntry) -> Json:
    """Changes the files of the node's container runtime and has them read (node/runtime_entry.py).

    Of the node it gets the folder of those files, and its process ids: the runtime is found, asked and signalled as a
    process. Not privileged: it may signal (KILL), look through /proc/PID/root (SYS_PTRACE), run the runtime's own
    program there (SYS_CHROOT) and write files of root whatever their mode (DAC_OVERRIDE). AppArmor's profile for
    containers forbids signals to what it does not confine, SELinux's to write below /etc.
    """
    folder = CONFIG_FOLDERS[action.runtime.partition(":")[0]]
    volume = {"name": "config", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}
    rights = ["DAC_OVERRIDE", "KILL", "SYS_CHROOT", "SYS_PTRACE"]
    unconfined = {"appArmorProfile": {"type": "Unconfined"}, "seLinuxOptions": {"type": "spc_t"}}
    args = [f"--node={action.node}", f"--runtime={action.runtime}", f"--handler={action.handler}"]
    container = {
        "args": ["probe", "runtime", "--host-prefix=/host", *args, *(f"--binary={b}" for b in action.binaries)],
        "securityContext": {
            **LOCKED_DOWN,
            **unconfined,
            "runAsUser": 0,
            "capabilities": {"drop": ["ALL"], "add": rights},
        },
        "volumeMounts": [{"name": "config", "mountPath": f"/host{folder}"}],
    }
    pod = _pod(setup, "runtime", action.node, container, [volume], seconds=180)
    pod["spec"]["hostPID"] = True
    return pod


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
