"""The chain from bare metal to a computing pod. The first broken link is the cause; what follows from it is not."""

from __future__ import annotations

LINKS = (
    "node",  # the machine answers: kubelet, clock, disk, network
    "hardware",  # the GPU is on the bus and well
    "kernel driver",  # built, signed, loaded, of one version
    "libraries",  # user space of the driver, where it is looked for
    "runtime config",  # containerd, CRI-O or docker know the handler, the CDI devices, the cgroup driver
    "toolkit",  # the container toolkit, its hooks and its own configuration
    "install",  # charts, operators, CRDs, images, secrets: what brings the software there
    "discovery",  # labels by which the rest finds its nodes: NFD, GFD, by hand
    "plugin",  # the device plugin or DRA driver runs
    "registration",  # and the kubelet knows it
    "allocatable",  # the node offers GPUs
    "scheduling",  # a pod finds a node: requests, taints, affinity, quota
    "admission",  # API server and kubelet let it in: policies, webhooks, device allocation
    "container start",  # sandbox, image, hooks
    "compute",  # the program sees the GPU and gets results
    "monitoring",  # metrics and licences: nothing else depends on them
)
_POSITION = {link: number for number, link in enumerate(LINKS)}


def position(link: str) -> int:
    """Where in the chain, from 0. KeyError for a link that is none."""
    return _POSITION[link]
