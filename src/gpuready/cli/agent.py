"""`gpuready agent`: what the DaemonSet runs on every GPU node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

DIRECTORY = click.Path(path_type=Path)


@click.command(name="agent", help="Run the node agent (the DaemonSet does): device plugin, labels, health, metrics.")
@click.option("--node-name", "node", envvar="NODE_NAME", required=True, help="Name of the Node this runs on.")
@click.option("--lib-dir", required=True, help="Host path of the folder with libcuda.so.1 and libnvidia-ml.so.1.")
@click.option("--host-prefix", default="/host", show_default=True, help="Host path P is visible here as PREFIX/P.")
@click.option("--driver-root", default="/", show_default=True, help="Host path from which absolute symlinks count.")
@click.option("--nvidia-smi", default="", help="Host path of nvidia-smi, to give it to containers.")
@click.option("--injection", type=click.Choice(["cdi", "devices"]), default="cdi", show_default=True)
@click.option("--resource", default="nvidia.com/gpu", show_default=True)
@click.option("--listen", default=":9400", show_default=True, help="Where metrics and reports are served.")
@click.option("--kubelet-dir", type=DIRECTORY, default=Path("/var/lib/kubelet"), show_default=True)
@click.option("--cdi-dir", type=DIRECTORY, default=Path("/var/run/cdi"), show_default=True)
@click.option("--sys-dir", type=DIRECTORY, default=Path("/sys"), show_default=True)
@click.option("--hostname-label", default="Hostname", show_default=True, help="Metric label with the node's name.")
@click.option("--no-node-writes", is_flag=True, help="Write no labels, condition or events (Kubernetes before 1.30).")
@click.option("--no-timestamp", is_flag=True, help="Leave out the label nvidia.com/gfd.timestamp.")
@click.option("--disable-health", envvar="DP_DISABLE_HEALTHCHECKS", default="", help="all, or Xids to ignore: 48,79")
@click.option("--enable-health", envvar="DP_ENABLE_HEALTHCHECKS", default="", help="Xids that count all the same.")
def command(no_node_writes: bool, no_timestamp: bool, listen: str, **told: Any) -> None:
    from gpuready.node.agent import run
    from gpuready.node.config import Config
    from gpuready.node.http import address

    try:
        address(listen)
    except ValueError as error:
        raise click.BadParameter(f"{listen} is not HOST:PORT or :PORT", param_hint="--listen") from error
    run(Config(listen=listen, node_writes=not no_node_writes, timestamp=not no_timestamp, **told))
