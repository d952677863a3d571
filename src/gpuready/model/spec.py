"""What the user asks for: GPUSetup in gpuready.dev/v1alpha1. Strict and typed; the one document for every platform.

Descriptions and examples are what the reader sees in the JSON Schema and in the file that `gpuready init` writes.
`extra["must"]` says a pattern in words, for messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

API_VERSION = "gpuready.dev/v1alpha1"
KIND = "GPUSetup"
NATIVE, GPU_OPERATOR = STACKS = ("native", "gpu-operator")

_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_HOST = r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:[0-9]{1,5})?"
_REPOSITORY = r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"

# RFC 1123 subdomain, as Kubernetes has it for the names of nodes and Secrets
DnsName = Annotated[
    str,
    Meta(pattern=f"^{_DNS}$", max_length=253, extra={"must": "be a DNS name: lower-case letters, digits, '-', '.'"}),
]
Word = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9._-]+$", max_length=63, extra={"must": "be letters, digits, '-', '_', '.'"})
]
AbsolutePath = Annotated[
    str,
    Meta(
        pattern=r"^/$|^(/(?!\.\.?(/|$))[A-Za-z0-9._+-]+)+$",  # hostPath volumes refuse ".."
        max_length=255,
        extra={"must": "be an absolute path without '..', '//' or a '/' at its end"},
    ),
]
Port = Annotated[int, Meta(ge=1, le=65535)]
Quantity = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$",
        max_length=16,
        extra={"must": "be a Kubernetes quantity, such as 10m or 64Mi"},
    ),
]
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
LabelKey = Annotated[
    str,
    Meta(
        pattern=f"^({_DNS}/)?{_LABEL}$",
        max_length=317,
        extra={"must": "be a label's key, such as nvidia.com/gpu.present"},
    ),
]
LabelValue = Annotated[
    str,
    Meta(
        pattern=f"^({_LABEL})?$",
        max_length=63,
        extra={"must": "be a label's value: up to 63 letters, digits, '-', '_', '.'"},
    ),
]
# https://github.com/distribution/reference: no scheme, no user name, repository in lower case
Reference = Annotated[
    str,
    Meta(
        pattern=f"^({_HOST}/)?{_REPOSITORY}(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@sha256:[0-9a-f]{{64}})?$",
        max_length=512,
        extra={"must": "be an image reference, such as registry.example.com/gpuready@sha256:<64 hex digits>"},
    ),
]
ServerUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[A-Za-z0-9.:/\[\]_%~-]+)?$",
        max_length=512,
        extra={"must": "be an http or https URL without user name, password and query"},
    ),
]
# https://github.com/NVIDIA/gpu-operator/releases
OperatorVersion = Annotated[
    str,
    Meta(
        pattern=r"^v?[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}$",
        extra={"must": "be a release of the GPU Operator, such as 26.7.0"},
    ),
]
# https://helm.sh/docs/helm/helm_install/: a repository's address, an OCI reference, an archive or a folder
ChartSource = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[A-Za-z0-9.:/\[\]_%~-]+|oci://[A-Za-z0-9.:/\[\]_-]+|\.{0,2}/[A-Za-z0-9._+/-]*)$",
        max_length=512,
        extra={"must": "be a repository (https://...), an OCI reference (oci://...) or a path (./chart.tgz, /folder)"},
    ),
]
# A place in a registry: host and path, without a tag
RegistryPath = Annotated[
    str,
    Meta(
        pattern=f"^{_HOST}(/{_REPOSITORY})?$",
        max_length=255,
        extra={"must": "be a registry and a path in it, such as registry.example.com/nvidia"},
    ),
]
DriverVersion = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{3,4}(\.[0-9]{1,3}){0,2}|sha256:[0-9a-f]{64})$",
        extra={"must": "be a driver's version such as 580.65.06, or its branch such as 580 for precompiled ones"},
    ),
]
NoProxy = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9.,:/*\[\]_-]*$",
        max_length=4096,
        extra={"must": "be hosts, domains and networks parted by commas"},
    ),
]


class Strict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Base of every part of the spec: a key that is not known is an error, never ignored."""


class Metadata(Strict, frozen=True, kw_only=True):
    """What this setup is called."""

    name: Annotated[DnsName, Meta(description="Name of this setup, for the reader.")]


class Cluster(Strict, frozen=True, kw_only=True):
    """The cluster this spec was written for. A run against another one is refused."""

    uid: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._:-]+$",
            max_length=64,
            extra={"must": "be the UID of namespace kube-system"},
            description="UID of namespace kube-system.",
            examples=["7c1e0b52-5f0e-4d0b-9a53-1b8f3c6a2d11"],
        ),
    ]
    server: Annotated[
        ServerUrl,
        Meta(description="The API server's address; for the reader only.", examples=["https://10.0.0.5:6443"]),
    ] = ""


class Image(Strict, frozen=True, kw_only=True):
    """The one image of agent and probes, as the nodes pull it."""

    reference: Annotated[
        Reference,
        Meta(
            description="What `gpuready image push` printed. With a digest it is the same image everywhere.",
            examples=["registry.example.com/gpuready:0.1.0"],
        ),
    ]
    pull_secret: Annotated[
        DnsName | None,
        Meta(
            description="A Secret of type kubernetes.io/dockerconfigjson in namespace gpuready-system. "
            "Without it the nodes' own logins are used.",
            examples=["registry-login"],
        ),
    ] = None


class Toleration(Strict, frozen=True, kw_only=True):
    """As in a pod. A blanket Exists without a key is refused: it would put the agent on nodes being drained."""

    key: Annotated[LabelKey, Meta(description="Key of the taint.", examples=["dedicated"])]
    operator: Annotated[
        Literal["Exists", "Equal"],
        Meta(description="Exists: whatever the taint's value. Equal: only this value."),
    ] = "Exists"
    value: Annotated[LabelValue, Meta(description="Value of the taint, for Equal.", examples=["gpu"])] = ""
    effect: Annotated[
        Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"],
        Meta(description="Effect of the taint; without it every effect."),
    ] = ""


class NodeChoice(Strict, frozen=True, kw_only=True):
    """Which nodes: by name, by label, or both; neither means `look and take what has NVIDIA GPUs`."""

    names: Annotated[tuple[DnsName, ...], Meta(description="Nodes by name.", examples=[["gpu-1", "gpu-2"]])] = ()
    match_labels: Annotated[
        Mapping[LabelKey, LabelValue],
        Meta(
            description="Nodes that carry all of these labels, besides those named.",
            examples=[{"nvidia.com/gpu.present": "true"}],
        ),
    ] = {}
    exclude: Annotated[tuple[DnsName, ...], Meta(description="Nodes to leave alone.", examples=[["gpu-9"]])] = ()
    tolerations: Annotated[
        tuple[Toleration, ...],
        Meta(
            description="Taints that the agent may pass, besides nvidia.com/gpu.",
            examples=[[{"key": "dedicated", "operator": "Equal", "value": "gpu"}]],
        ),
    ] = ()


class Driver(Strict, frozen=True, kw_only=True):
    """Where the NVIDIA driver's user space lies on the nodes, and who put it there."""

    owner: Annotated[Literal["host"], Meta(description="host: the node's own installation.")] = "host"
    root: Annotated[
        AbsolutePath | None,
        Meta(
            description="Directory on the nodes below which the driver's libraries lie. "
            "Without it: where the look at each node finds them.",
            examples=["/run/nvidia/driver"],
        ),
    ] = None


class Agent(Strict, frozen=True, kw_only=True):
    """The node agent of stack `native`."""

    injection: Annotated[
        Literal["auto", "cdi", "devices"],
        Meta(
            description="How GPUs get into pods: cdi (the runtime reads a CDI file), devices (device nodes and "
            "library mounts), auto (cdi where the runtime has it without further configuration)."
        ),
    ] = "auto"
    metrics_port: Annotated[Port, Meta(description="Port of the Prometheus metrics.")] = 9400
    hostname_label: Annotated[
        Literal["Hostname", "hostname"],
        Meta(description="Label of the node in metrics; dcgm-exporter up to 4.5.3 writes Hostname."),
    ] = "Hostname"
    cpu: Annotated[Quantity, Meta(description="CPU requested for the agent.")] = "10m"
    memory: Annotated[Quantity, Meta(description="Memory requested for the agent.")] = "64Mi"
    memory_limit: Annotated[Quantity, Meta(description="Memory limit of the agent.")] = "128Mi"


class OperatorDriver(Strict, frozen=True, kw_only=True):
    """The driver under stack `gpu-operator`."""

    owner: Annotated[
        Literal["auto", "operator", "host"],
        Meta(
            description="operator: its driver container builds or loads the driver. host: the node's own installation. "
            "auto: host where the look finds a loaded driver on every GPU node, else operator."
        ),
    ] = "auto"
    version: Annotated[
        DriverVersion | None,
        Meta(description="Version of the driver; without it the chart's own.", examples=["580.65.06"]),
    ] = None
    precompiled: Annotated[
        bool, Meta(description="Use driver images made for one kernel; version is then a branch.")
    ] = False
    repository: Annotated[
        RegistryPath | None,
        Meta(
            description="Where the driver image lies, if not where all images do.",
            examples=["registry.example.com/gpu"],
        ),
    ] = None


class Proxy(Strict, frozen=True, kw_only=True):
    """For what the driver container fetches. Without user names and passwords: values are no place for them."""

    http: Annotated[ServerUrl, Meta(description="HTTP_PROXY.", examples=["http://proxy.example.com:3128"])] = ""
    https: Annotated[ServerUrl, Meta(description="HTTPS_PROXY.", examples=["http://proxy.example.com:3128"])] = ""
    no_proxy: Annotated[
        NoProxy,
        Meta(
            description="NO_PROXY: service, pod and node networks, .svc, .cluster.local, the API server.",
            examples=["10.96.0.0/12,10.244.0.0/16,.svc,.cluster.local"],
        ),
    ] = ""


class GpuOperator(Strict, frozen=True, kw_only=True):
    """Stack `gpu-operator`: NVIDIA's GPU Operator, installed by its Helm chart."""

    version: Annotated[
        OperatorVersion | None,
        Meta(
            description="Release of the operator. Without it the newest whose documentation names the cluster's "
            "Kubernetes version.",
            examples=["26.7.0"],
        ),
    ] = None
    chart: Annotated[
        ChartSource,
        Meta(description="Repository, OCI reference, or for air-gapped clusters an archive or folder of the chart."),
    ] = "https://helm.ngc.nvidia.com/nvidia"
    namespace: Annotated[DnsName, Meta(description="Namespace of the operator.")] = "gpu-operator"
    driver: Annotated[OperatorDriver, Meta(description="The driver under stack gpu-operator.")] = OperatorDriver()
    toolkit: Annotated[
        Literal["operator", "host"],
        Meta(description="Who installs the container toolkit and configures the runtime."),
    ] = "operator"
    operands_elsewhere: Annotated[
        bool,
        Meta(
            description="Whether the operator may serve nodes that `nodes` does not mean. Without it they are labelled "
            "nvidia.com/gpu.deploy.operands=false."
        ),
    ] = False
    registry: Annotated[
        RegistryPath | None,
        Meta(
            description="A mirror: takes the place of nvcr.io and registry.k8s.io in front of every image.",
            examples=["registry.example.com/mirror"],
        ),
    ] = None
    pull_secret: Annotated[
        DnsName | None,
        Meta(
            description="A Secret of type kubernetes.io/dockerconfigjson in the operator's namespace, named wherever "
            "the chart takes one.",
            examples=["ngc-secret"],
        ),
    ] = None
    proxy: Annotated[Proxy, Meta(description="For what the driver container fetches.")] = Proxy()
    cdi: Annotated[
        Literal["default", "on", "off"],
        Meta(description="Whether devices reach pods by CDI; default: as the chart has it."),
    ] = "default"
    mig: Annotated[
        Literal["default", "none", "single", "mixed"],
        Meta(description="How MIG devices are offered; default: as the chart has it."),
    ] = "default"
    values: Annotated[
        Mapping[str, Any],
        Meta(
            description="More values of the chart, laid over all others; each must be known to it. No secrets.",
            examples=[{"dcgmExporter": {"enabled": False}}],
        ),
    ] = {}


class Setup(Strict, frozen=True, kw_only=True):
    """What is asked for."""

    cluster: Annotated[
        Cluster | None,
        Meta(description="The cluster this spec was written for. A run against another one is refused."),
    ] = None
    platform: Annotated[
        Word, Meta(description="What the cluster was made with; generic is any conformant Kubernetes.")
    ] = "generic"
    stack: Annotated[
        Word,
        Meta(description="What serves the GPUs: native is gpuready's own agent, gpu-operator NVIDIA's."),
    ] = "native"
    image: Annotated[Image | None, Meta(description="The one image of agent and probes, as the nodes pull it.")] = None
    nodes: Annotated[
        NodeChoice,
        Meta(description="Which nodes: by name, by label, or both; without either all that have NVIDIA GPUs."),
    ] = NodeChoice()
    driver: Annotated[
        Driver, Meta(description="Where the NVIDIA driver's user space lies on the nodes, and who put it there.")
    ] = Driver()
    agent: Annotated[Agent, Meta(description="The node agent of stack native.")] = Agent()
    gpu_operator: Annotated[GpuOperator, Meta(description="NVIDIA's GPU Operator, for stack gpu-operator.")] = (
        GpuOperator()
    )


class GPUSetup(Strict, frozen=True, kw_only=True):
    """What gpuready is asked to make of one cluster."""

    api_version: Literal["gpuready.dev/v1alpha1"]
    kind: Literal["GPUSetup"]
    metadata: Metadata
    spec: Setup
