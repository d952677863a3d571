"""From apiVersion and kind to a path: a table for built-in kinds, the server's discovery for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from gpuready.model.errors import NotFound, Target, UserError


class Resource(NamedTuple):
    group: str
    version: str
    plural: str
    namespaced: bool

    @property
    def base(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self) -> str:
        """As kubectl and RBAC messages have it: daemonsets.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _table() -> dict[tuple[str, str], tuple[str, bool]]:
    """(group, kind) -> (plural, namespaced) of kinds that every supported version serves, or that keep their plural
    whatever the version. From the API reference of 1.34."""
    lines = """
    : Namespace* Node* Pod Secret ConfigMap Service ServiceAccount Event PersistentVolume* PersistentVolumeClaim
      ResourceQuota LimitRange Endpoints=endpoints
    apps: DaemonSet Deployment ReplicaSet StatefulSet ControllerRevision
    batch: Job CronJob
    coordination.k8s.io: Lease
    rbac.authorization.k8s.io: Role RoleBinding ClusterRole* ClusterRoleBinding*
    admissionregistration.k8s.io: ValidatingAdmissionPolicy*=validatingadmissionpolicies
      ValidatingAdmissionPolicyBinding* ValidatingWebhookConfiguration* MutatingWebhookConfiguration*
    apiextensions.k8s.io: CustomResourceDefinition*
    apiregistration.k8s.io: APIService*
    scheduling.k8s.io: PriorityClass*=priorityclasses
    node.k8s.io: RuntimeClass*=runtimeclasses
    storage.k8s.io: StorageClass*=storageclasses
    policy: PodDisruptionBudget
    resource.k8s.io: ResourceClaim ResourceClaimTemplate DeviceClass*=deviceclasses ResourceSlice*
    authorization.k8s.io: SelfSubjectAccessReview* SelfSubjectRulesReview*
    """
    found: dict[tuple[str, str], tuple[str, bool]] = {}
    group = ""
    for word in lines.split():
        if word.endswith(":"):
            group = word[:-1]
            continue
        kind, _, plural = word.partition("=")
        namespaced = not kind.endswith("*")
        kind = kind.rstrip("*")
        found[group, kind] = (plural or f"{kind.lower()}s", namespaced)
    return found


BUILT_IN = _table()
_API_VERSION = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?v[0-9a-z]{1,20}")
_SEGMENT = re.compile(r"[^/%\x00-\x20\x7f]{1,253}")  # apimachinery's path.IsValidPathSegmentName


class _ApiResource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False


class _ApiResourceList(msgspec.Struct):
    resources: tuple[_ApiResource, ...] = ()


class Resources:
    """`fetch` gets a path and returns the body; what is discovered is kept for the life of the client."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._found: dict[tuple[str, str], Resource] = {}

    def find(self, api_version: str, kind: str) -> Resource:
        """NotFound when the server does not serve this kind."""
        if not _API_VERSION.fullmatch(api_version):
            raise UserError(f"{api_version!r} is no apiVersion", "write it as v1 or GROUP/VERSION")
        group, _, version = api_version.rpartition("/")
        if (group, kind) in BUILT_IN:
            plural, namespaced = BUILT_IN[group, kind]
            return Resource(group, version, plural, namespaced)
        found = self._found.get((api_version, kind))
        return found or self._discover(group, version, kind)

    def _discover(self, group: str, version: str, kind: str) -> Resource:
        api_version = f"{group}/{version}" if group else version
        target = Target("get", f"API {api_version}")
        base = Resource(group, version, "", False).base
        try:
            served = msgspec.json.decode(self._fetch(base), type=_ApiResourceList)
        except NotFound as error:
            raise self._missing(api_version, kind, target) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"the cluster's list of what {api_version} serves cannot be read", "") from error
        for r in served.resources:
            if "/" not in r.name and _SEGMENT.fullmatch(r.name):  # with a slash: a subresource
                self._found[api_version, r.kind] = Resource(group, version, r.name, r.namespaced)
        if (api_version, kind) not in self._found:
            raise self._missing(api_version, kind, target)
        return self._found[api_version, kind]

    def _missing(self, api_version: str, kind: str, target: Target) -> NotFound:
        return NotFound(
            f"the cluster does not serve {kind} in {api_version}",
            "install its CustomResourceDefinition, or check the cluster's version",
            code=404,
            reason="NotFound",
            target=target,
        )


def path_of(resource: Resource, namespace: str = "", name: str = "", *more: str) -> str:
    """Collection (no name) or object; `more` are subresource segments, with their slashes already encoded."""
    segments = [resource.base]
    if resource.namespaced and namespace:
        segments += ["namespaces", segment(namespace)]
    segments.append(resource.plural)
    if name:
        segments.append(segment(name))
    return "/".join([*segments, *more])


def segment(name: str) -> str:
    """One name in a path; a hostile one must not lead to another object."""
    if name in (".", "..") or not _SEGMENT.fullmatch(name):
        raise UserError(f"{name[:80]!r} is no name that an object can have", "correct the name")
    return quote(name, safe=":@!$&'()*+,;=~")
