"""`gpuready image`: make, save and push the image of agent and probes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gpuready.adapters.oci import Image


@click.group("image")
def command() -> None:
    """Make the image of agent and probes from this installation: no docker, no network.

    The same installation gives the same digest.
    """


@command.command()
@click.option(
    "-o",
    "--out-dir",
    "layout",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for the OCI layout. [default: ~/.cache/gpuready/image]",
)
@click.option("--name", help="Name of the image. [default: localhost/gpuready:VERSION]")
def build(layout: Path | None, name: str | None) -> None:
    """Write the image as an OCI layout."""
    from gpuready.adapters.image import default_layout

    image = _built(layout or default_layout(), name)
    click.echo(f"layout     {image.layout}")
    _describe(image)


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", help="Name of the image. [default: localhost/gpuready:VERSION]")
def save(file: Path, name: str | None) -> None:
    """Write the image as one archive, for machines that cannot reach a registry.

    Load it with `ctr -n k8s.io images import FILE`, `docker load -i FILE` or `podman load -i FILE`.
    """
    from gpuready.adapters import oci

    with tempfile.TemporaryDirectory() as folder:
        image = _built(Path(folder), name)
        oci.archive(image, file)
    click.echo(f"archive    {file}")
    _describe(image)


@command.command()
@click.argument("target", metavar="REGISTRY/REPOSITORY[:TAG]")
@click.option("--plain-http", is_flag=True, help="Speak HTTP without TLS to the registry.")
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file with the CA of the registry's certificate, in place of the system's.",
)
def push(target: str, plain_http: bool, ca_file: Path | None) -> None:
    """Push the image; the last line printed is what the spec wants as `image`.

    Logins come from $REGISTRY_AUTH_FILE or ~/.docker/config.json, where `docker login` and `podman login` leave them.
    """
    import gpuready
    from gpuready.adapters import registry

    place = registry.parse_target(target, default_tag=gpuready.__version__)
    with tempfile.TemporaryDirectory() as folder:
        pushed = registry.push(_built(Path(folder), None), place, plain_http=plain_http, ca_file=ca_file)
    sent = f"{_mib(pushed.uploaded)} sent" if pushed.uploaded else "nothing sent, all of it was there"
    click.echo(f"{place.host}/{place.repository}:{place.tag}: {sent}", err=True)
    if plain_http:
        click.echo("each node's runtime must be told that this registry speaks HTTP (containerd: hosts.toml)", err=True)
    click.echo(pushed.reference)


def _built(layout: Path, name: str | None) -> Image:
    import gpuready
    from gpuready.adapters import image, registry

    named = registry.parse_target(name or image.NAME, default_tag=gpuready.__version__)
    return image.build(layout, f"{named.host}/{named.repository}:{named.tag}")


def _describe(image: Image) -> None:
    click.echo(f"reference  {image.reference}")
    click.echo(f"digest     {image.digest}")
    click.echo(f"size       {_mib(image.size)}, {_mib(image.unpacked)} unpacked, {image.platform}")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
