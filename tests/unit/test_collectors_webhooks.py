"""Which admission webhooks are asked about our pods."""

from __future__ import annotations

from typing import Any

import pytest
from collectors_double import fact, items

from gpuready.model.facts.cluster import (
    Webhook,
)

POD_RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}
NAME = "kubernetes.io/metadata.name"
HOOKS = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"


def where(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("hook", "asked"),
    [
        ({"failurePolicy": "Fail", "rules": [POD_RULE]}, True),
        ({"rules": [{**POD_RULE, "apiGroups": ["*"], "resources": ["*/*"], "operations": ["*"]}]}, True),
        ({"failurePolicy": "Ignore", "rules": [POD_RULE]}, False),
        ({"rules": [{**POD_RULE, "resources": ["deployments"], "apiGroups": ["apps"]}]}, False),
        ({"rules": [{**POD_RULE, "operations": ["DELETE"]}]}, False),
        ({"rules": [{**POD_RULE, "resources": ["pods/exec"], "operations": ["CONNECT"]}]}, False),
        ({"rules": [{**POD_RULE, "scope": "Cluster"}]}, False),
        ({"rules": [POD_RULE], "namespaceSelector": where(NAME, "In", "gpuready-system")}, True),
        ({"rules": [POD_RULE], "namespaceSelector": where(NAME, "NotIn", "gpuready-system")}, False),
        ({"rules": [POD_RULE], "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}}}, False),
        (
            {
                "rules": [POD_RULE],
                "namespaceSelector": where("x", "DoesNotExist"),
            },
            True,
        ),
        ({"rules": [POD_RULE], "namespaceSelector": where("x", "Exists")}, False),
        ({"rules": [POD_RULE], "objectSelector": {"matchLabels": {"sidecar": "yes"}}}, False),
        ({"rules": [POD_RULE], "namespaceSelector": {}, "objectSelector": {}}, True),
    ],
)
def test_only_webhooks_that_are_asked_about_our_pods_count(hook: dict[str, Any], asked: bool) -> None:
    service = {"service": {"namespace": "kyverno", "name": "kyverno-svc", "path": "/validate"}}
    listed = items({"metadata": {"name": "cfg"}, "webhooks": [{"name": "w", "clientConfig": service, **hook}]})
    table = {HOOKS.format("validating"): listed, HOOKS.format("mutating"): items()}
    found = Webhook(
        kind="ValidatingWebhookConfiguration", configuration="cfg", name="w", backend="service kyverno/kyverno-svc"
    )
    assert fact("webhooks", table) == ((found,) if asked else ())
