"""The values of the GPU Operator's chart: only what differs from the chart's own, each with its origin. Pure.

What the values mean: https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/getting-started.html
(common chart customization options), install-gpu-operator-proxy.html, install-gpu-operator-air-gapped.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gpuready.knowledge import operator
from gpuready.model.errors import UserError
from gpuready.model.plan import Value
from gpuready.model.spec import GpuOperator, Proxy, Setup

Json = dict[str, Any]
NFD = "node-feature-discovery"
NFD_IMAGE = "nfd/node-feature-discovery"  # in registry.k8s.io
PUBLIC = "nvcr.io"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the chart that is not left as the chart has it."""

    keys: tuple[str, ...]  # ("driver", "enabled")
    value: Any
    origin: str  # default | spec | detected | platform
    because: str = ""

    @property
    def path(self) -> str:
        return ".".join(self.keys)


def _set(path: str, value: Any, origin: str = "spec", because: str = "") -> Setting:
    return Setting(keys=tuple(path.split(".")), value=value, origin=origin, because=because)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out of the cluster and bears upon the values."""

    loaded: Mapping[str, str] = {}  # GPU node -> version of the driver that its kernel has loaded
    driverless: tuple[str, ...] = ()  # GPU nodes without one
    roots: tuple[str, ...] = ()  # where those drivers' libraries lie, the most frequent first
    nfd: str = ""  # what discovers node features already: "ds/node-feature-discovery/nfd-worker"
    toolkit_env: Mapping[str, str] = {}
    distribution: str = ""  # whose containerd the environment is for
    runtimes: tuple[str, ...] = ()  # of the GPU nodes: containerd | docker | crio


class Unsuitable(UserError):
    """A value that this release of the chart does not have."""


def settings(setup: Setup, version: str, seen: Seen) -> tuple[Setting, ...]:
    """Every value that is set, in the chart's own order of parts; `values` of the spec last. Raises Unsuitable."""
    wanted = setup.gpu_operator
    found = [
        *_driver(wanted, version, seen),
        *_toolkit(wanted, seen),
        *_runtime(version, seen),
        *_discovery(seen),
        *_images(wanted, version, seen),
        *_proxy(wanted.proxy),
        *_modes(wanted),
        *_tolerations(setup, version),
        *_housekeeping(version),
        *_leaves(wanted.values, version),
    ]
    for setting in found:
        _check(setting, version)
    return tuple(found)


def merged(found: tuple[Setting, ...]) -> Json:
    """The document for helm: later settings over earlier ones."""
    out: Json = {}
    for setting in found:
        *parents, last = setting.keys
        inner = out
        for key in parents:
            inner = inner.setdefault(key, {})
        inner[last] = setting.value
    return out


def shown(found: tuple[Setting, ...]) -> tuple[Value, ...]:
    """For the plan; what was set twice is shown as it is in the end."""
    last = {s.path: s for s in found}
    return tuple(Value(path=s.path, value=_text(s.value), origin=s.origin, because=s.because) for s in last.values())


def host_driver(wanted: GpuOperator, seen: Seen) -> bool:
    """Whether the nodes bring the driver."""
    if wanted.driver.owner == "auto":
        return bool(seen.loaded) and not seen.driverless
    return wanted.driver.owner == "host"


def _driver(wanted: GpuOperator, version: str, seen: Seen) -> Iterator[Setting]:
    driver = wanted.driver
    if host_driver(wanted, seen):
        detected = driver.owner == "auto"
        versions = ", ".join(sorted(set(seen.loaded.values())))
        because = f"driver {versions} is loaded on every GPU node" if detected else ""
        yield _set("driver.enabled", False, "detected" if detected else "spec", because)
        root = next(iter(seen.roots), "/")
        # the operator looks at / by itself
        if root != "/" and operator.has_value(version, "hostPaths.driverInstallDir"):
            why = "the driver's libraries lie below it"
            yield _set("hostPaths.driverInstallDir", root, "detected", why)
        return
    if driver.version:
        yield _set("driver.version", driver.version)
    if driver.precompiled:
        yield _set("driver.usePrecompiled", True)
    if driver.repository:
        yield _set("driver.repository", driver.repository)


def _toolkit(wanted: GpuOperator, seen: Seen) -> Iterator[Setting]:
    if wanted.toolkit == "host":
        yield _set("toolkit.enabled", False)
    elif seen.toolkit_env:
        env = [{"name": k, "value": v} for k, v in sorted(seen.toolkit_env.items())]
        why = f"where containerd of {seen.distribution} has its socket and configuration"
        yield _set("toolkit.env", env, "platform", why)


def _runtime(version: str, seen: Seen) -> Iterator[Setting]:
    """Releases before 1.9 do not ask the nodes and take docker for granted."""
    old = operator.order_of(version) < (1, 9, 0) and operator.has_value(version, "operator.defaultRuntime")
    if old and seen.runtimes:
        why = "the GPU nodes' container runtime"
        yield _set("operator.defaultRuntime", seen.runtimes[0], "detected", why)


def _discovery(seen: Seen) -> Iterator[Setting]:
    if seen.nfd:
        yield _set("nfd.enabled", False, "detected", f"{seen.nfd} discovers them already")


def _images(wanted: GpuOperator, version: str, seen: Seen) -> Iterator[Setting]:
    own = {"driver"} if wanted.driver.repository or host_driver(wanted, seen) else set()
    if wanted.registry:
        for part, place in operator.repositories(version).items():
            if part not in own:
                mirrored = wanted.registry + place.removeprefix(PUBLIC)
                yield _set(f"{part}.repository", mirrored, because="gpuOperator.registry")
        if not seen.nfd:
            mirrored = f"{wanted.registry}/{NFD_IMAGE}"
            yield _set(f"{NFD}.image.repository", mirrored, because="gpuOperator.registry")
    if wanted.pull_secret:
        for part in operator.components(version, "imagePullSecrets"):
            secret = [wanted.pull_secret]
            yield _set(f"{part}.imagePullSecrets", secret, because="gpuOperator.pullSecret")
        if wanted.registry and not seen.nfd:
            named = [{"name": wanted.pull_secret}]
            yield _set(f"{NFD}.imagePullSecrets", named, because="gpuOperator.pullSecret")


def _proxy(proxy: Proxy) -> Iterator[Setting]:
    """In both cases of letters: which of them a package manager reads differs."""
    given = {"HTTP_PROXY": proxy.http, "HTTPS_PROXY": proxy.https, "NO_PROXY": proxy.no_proxy}
    env = [{"name": n, "value": v} for name, v in given.items() if v for n in (name, name.lower())]
    if env:
        yield _set("driver.env", env, because="gpuOperator.proxy")


def _modes(wanted: GpuOperator) -> Iterator[Setting]:
    if wanted.cdi != "default":
        yield _set("cdi.enabled", wanted.cdi == "on")
    if wanted.mig != "default":
        yield _set("mig.strategy", wanted.mig)


def _tolerations(setup: Setup, version: str) -> Iterator[Setting]:
    """A list takes the place of the chart's own, so that its toleration is repeated."""
    chosen = setup.nodes.tolerations
    if not chosen:
        return
    found = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    for t in chosen:
        item = {"key": t.key, "operator": t.operator, "value": t.value, "effect": t.effect}
        found.append({k: v for k, v in item.items() if v})
    yield _set("daemonsets.tolerations", found, because="nodes.tolerations")
    if operator.has_value(version, NFD):
        yield _set(f"{NFD}.worker.tolerations", found, because="nodes.tolerations")


def _housekeeping(version: str) -> Iterator[Setting]:
    """gpuready applies the CRDs itself, before the chart: its hook, which pulls an image more, has nothing to do."""
    if operator.has_value(version, "operator.upgradeCRD"):
        yield _set("operator.upgradeCRD", False, "default", "gpuready applies the chart's CRDs first")


def _leaves(values: Mapping[str, Any], version: str, above: tuple[str, ...] = ()) -> Iterator[Setting]:
    """What the spec sets by itself, down to what the chart takes as one value."""
    for key, value in values.items():
        here = Setting(keys=(*above, key), value=value, origin="spec")
        if isinstance(value, Mapping) and value and operator.is_parent(version, here.path):
            yield from _leaves(value, version, here.keys)
        else:
            yield here


def _check(setting: Setting, version: str) -> None:
    path = setting.path
    if operator.has_value(version, path) and not operator.is_parent(version, path):
        return
    near = operator.nearest(version, path)
    hint = f"the nearest is {near}" if near else "gpuready schema describes what the spec has by itself"
    source = f" ({setting.origin}: {setting.because or 'gpuOperator'})"
    read = operator.read_release(version)
    of = version if read == version else f"{version} (values as of {read})"
    if operator.is_parent(version, path):
        raise Unsuitable(f"chart gpu-operator {of}: {path} is a group of values, not one{source}", "name one within it")
    raise Unsuitable(f"chart gpu-operator {of} has no value {path}{source}", hint)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
