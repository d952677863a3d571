"""Without a check of the server's certificate anybody on the way may be the cluster, and gets the credentials."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    identity = cluster.identity
    if identity.insecure:
        yield Finding(
            at="cluster",
            says=f"the certificate of {identity.server} is not checked (insecure-skip-tls-verify)",
            evidence=(f"kubeconfig context {identity.context or 'in use'}: insecure-skip-tls-verify true",),
            next="put the cluster's CA into the kubeconfig (certificate-authority-data) and drop that setting",
        )


RULE = Rule("insecure-tls", "preflight", "warn", "The server's certificate is not checked", find)
