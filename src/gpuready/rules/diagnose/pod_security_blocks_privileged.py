"""Pod Security Admission, or a PodSecurityPolicy of old, refuses the privileged pods of the GPU stack."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, DaemonSet
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import of_stack, with_objects
from gpuready.rules.diagnose._said import said_rule

ENFORCE = "pod-security.kubernetes.io/enforce"


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    """Pods that were there before the label run on: it counts where pods are missing."""
    short: dict[str, list[DaemonSet]] = {}
    for ds in known(cluster.daemonsets):
        if of_stack(ds) and ds.current < ds.desired:
            short.setdefault(ds.namespace, []).append(ds)
    for namespace in known(cluster.namespaces) if short else ():
        level, here = namespace.labels.get(ENFORCE, ""), short.get(namespace.name)
        if here and level in ("baseline", "restricted"):
            yield Finding(
                at=f"ns/{namespace.name}",
                says=f"the namespace lets in pods of level {level} only; those of the GPU stack are privileged",
                evidence=(
                    f"label {ENFORCE}={level} of ns/{namespace.name}",
                    *(f"ds/{ds.key}: {ds.current} of {ds.desired} pods were made" for ds in here[:3]),
                ),
                next=f"kubectl label ns {namespace.name} {ENFORCE}=privileged --overwrite",
            )


def _there(told: Finding, seen: Finding) -> bool:
    return told.at.split("/")[1:2] == [seen.at.removeprefix("ns/")]


RULE = with_objects(
    said_rule(
        "pod-security-blocks-privileged",
        "admission",
        "the namespace's pod security refuses privileged pods",
        signs=(
            "violates podsecurity & !would violate",
            "podsecuritypolicy unable to admit pod",
            "unable to validate against any pod security policy",
            "privileged containers are not allowed & !security context constraint",
            "privileged & disallowed by cluster policy",
            "{pod security} & {denied} & privileged & !security context constraint & !would violate",
        ),
        next="label the operator's namespace pod-security.kubernetes.io/enforce=privileged (before 1.25: bind its"
        " service accounts to a privileged PodSecurityPolicy)",
    ),
    _seen,
    _there,
)
