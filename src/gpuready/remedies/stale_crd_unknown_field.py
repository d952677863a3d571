"""The schema of a CRD becomes that of the chart whose operator runs; the CRD itself is never deleted."""

from __future__ import annotations

from gpuready.model.chart import ChartFiles
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.plan import Edit, Ref, Step
from gpuready.model.remedy import ByHand, Mend, Remedy
from gpuready.model.rule import Finding
from gpuready.model.unknown import known

AGAIN = "gpuready doctor --fix stale-crd-unknown-field --chart gpu-operator"


def mend(finding: Finding, cluster: ClusterFacts, chart: ChartFiles | None) -> Mend | ByHand:
    """Every CRD of the chart that is in the cluster: what is of that release already is left alone by the engine."""
    release = next((o.version for o in known(cluster.stacks) if o.version), "")
    pull = f"helm pull gpu-operator --repo https://helm.ngc.nvidia.com/nvidia --version {release or 'V'} --untar"
    if chart is None:
        return ByHand(because="the CRDs are in the release's chart, which was not given", do=f"{pull}; {AGAIN}")
    if release and release.removeprefix("v") != chart.chart.version.removeprefix("v"):
        because = f"the chart that was given is {chart.chart.version}, and what runs is {release}"
        return ByHand(because=because, do=f"{pull}; {AGAIN}")
    there = {crd.name for crd in known(cluster.crds)}
    steps = tuple(
        Step(
            id=f"change CustomResourceDefinition/{crd['metadata']['name']}",
            verb="change",
            target=f"crd/{crd['metadata']['name']}",
            action=Edit(
                Ref(
                    api_version="apiextensions.k8s.io/v1",
                    kind="CustomResourceDefinition",
                    name=crd["metadata"]["name"],
                ),
                to={"/spec/versions": crd["spec"]["versions"]},
            ),
            why=f"the schema of chart {chart.chart.version}: helm upgrade never replaces a CRD",
        )
        for crd in chart.crds
        if crd["metadata"]["name"] in there
    )
    if not steps:
        because = "none of the chart's CRDs is in the cluster: they are for its installation to create"
        return ByHand(because=because, do=finding.next)
    return Mend(steps=steps)


REMEDY = Remedy(
    "stale-crd-unknown-field",
    mend,
    does="replaces the schema of the CRD by that of the chart given by --chart; the CRD is never deleted",
    by_hand="without the chart of the release that runs, or where the CRD is not of that chart; gpuready doctor"
    " shows that it worked",
)
