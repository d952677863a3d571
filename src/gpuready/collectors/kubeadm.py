"""Whether kubeadm made this cluster: it leaves its configuration in a ConfigMap. Only presence is read."""

from __future__ import annotations

from gpuready.model.collector import Ask, Collector, Pages

PATH = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"


def parse(pages: Pages) -> bool:
    return next(pages, None) is not None


COLLECTOR = Collector(gives="kubeadm", asks=(Ask(path=PATH, limit=0, optional=True),), parse=parse)
