"""What was read of a Helm chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gpuready.model.plan import Chart


class ChartFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A chart as it is: what it is, and the CRDs that it brings. CRDs of the charts within it by the chart's name.

    `by`: who would install it, for the user to see.
    """

    chart: Chart
    crds: tuple[Mapping[str, Any], ...] = ()
    inner_crds: Mapping[str, tuple[Mapping[str, Any], ...]] = {}
    by: str = ""
