"""Admission webhooks that can stop our pods: failurePolicy Fail, asked about the creation of pods in our namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gpuready.collectors._wire import LIST, Meta, Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Webhook
from gpuready.model.names import MANAGED_BY, NAMESPACE

KINDS = (
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
)
# What a selector sees of us. A key that is not here is taken as absent; match conditions (CEL) as true.
OUR_LABELS = {
    "kubernetes.io/metadata.name": NAMESPACE,
    "pod-security.kubernetes.io/enforce": "privileged",
    **MANAGED_BY,
}


class Requirement(Wire, frozen=True):
    key: str
    operator: str
    values: tuple[str, ...] = ()


class Selector(Wire, frozen=True):
    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()


class HookRule(Wire, frozen=True):
    api_groups: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scope: str = "*"


class Service(Wire, frozen=True):
    namespace: str = ""
    name: str = ""


class ClientConfig(Wire, frozen=True):
    service: Service | None = None


class Hook(Wire, frozen=True):
    name: str
    client_config: ClientConfig = ClientConfig()
    failure_policy: str = "Fail"  # the default of admissionregistration.k8s.io/v1
    rules: tuple[HookRule, ...] = ()
    namespace_selector: Selector | None = None
    object_selector: Selector | None = None


class Configuration(Wire, frozen=True):
    metadata: Meta
    webhooks: tuple[Hook, ...] = ()


DECODER = msgspec.json.Decoder(LIST[Configuration])


def parse(*answers: Pages) -> tuple[Webhook, ...]:
    return tuple(
        hook for (kind, _), pages in zip(KINDS, answers, strict=True) for page in pages for hook in _hooks(kind, page)
    )


def _hooks(kind: str, page: bytes) -> Iterator[Webhook]:
    for item in DECODER.decode(page):
        for hook in item.webhooks:
            if hook.failure_policy == "Fail" and any(map(_creates_pods, hook.rules)) and _sees_us(hook):
                service = hook.client_config.service
                backend = f"service {service.namespace}/{service.name}" if service else "url"
                yield Webhook(kind=kind, configuration=item.metadata.name, name=hook.name, backend=backend)


def _creates_pods(rule: HookRule) -> bool:
    return (
        bool({"", "*"} & set(rule.api_groups))
        and bool({"CREATE", "*"} & set(rule.operations))
        and bool({"pods", "*", "*/*"} & set(rule.resources))
        and rule.scope in ("*", "Namespaced")
    )


def _sees_us(hook: Hook) -> bool:
    return all(selector is None or _matches(selector) for selector in (hook.namespace_selector, hook.object_selector))


def _matches(selector: Selector) -> bool:
    labels = all(OUR_LABELS.get(key) == value for key, value in selector.match_labels.items())
    return labels and all(map(_holds, selector.match_expressions))


def _holds(requirement: Requirement) -> bool:
    value = OUR_LABELS.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return True  # an operator that is not known here: say that it may block rather than that it does not


COLLECTOR = Collector(
    gives="webhooks",
    asks=tuple(Ask(path=f"/apis/admissionregistration.k8s.io/v1/{plural}") for _, plural in KINDS),
    parse=parse,
)
