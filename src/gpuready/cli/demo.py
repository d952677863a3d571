"""gpuready demo: the main job and a bad night, on a cluster that is only simulated."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuready.cli.connection import colour, terminal_width
from gpuready.model.errors import UserError

if TYPE_CHECKING:
    from gpuready.adapters.demo.cluster import Simulated

IMAGE = "simulated/gpuready:demo"
CAUSES = frozenset({"gpu-held-by-running-sidecar", "runtime-handler-missing"})


@click.command("demo")
@click.option("--pause", is_flag=True, help="Wait for a key before every command.")
@click.option("--keep", is_flag=True, help="Leave the cluster running at the end, to try other verbs on it.")
@click.option("--no-color", is_flag=True, help="Plain text; also with NO_COLOR set or when piped.")
def command(pause: bool, keep: bool, no_color: bool) -> int:
    """Two nodes get GPUs, one has a bad night, the doctor explains and mends it. In seconds, and nothing is real.

    A simulated cluster inside this process, served on localhost: no Kubernetes, no GPU, no network, no root. What is
    shown is the output of the very commands.
    """
    from gpuready.adapters.demo.cluster import Simulated

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes
    with tempfile.TemporaryDirectory(prefix="gpuready-demo-") as folder, Simulated() as cluster:
        kubeconfig = Path(folder) / "kubeconfig"
        cluster.write_kubeconfig(kubeconfig)
        with own_environment(Path(folder)):
            Guide(cluster, pause=pause, no_color=no_color).lead()
            if keep:
                _wait(kubeconfig)
    return 0


@contextlib.contextmanager
def own_environment(folder: Path) -> Iterator[None]:
    """Into a folder of its own, with its kubeconfig and journal there, and back."""
    before, home = dict(os.environ), Path.cwd()
    for name in ("GPUREADY_IMAGE", "GPUREADY_DEBUG"):
        os.environ.pop(name, None)
    os.environ.update(KUBECONFIG=str(folder / "kubeconfig"), XDG_STATE_HOME=str(folder / "state"), NO_PROXY="127.0.0.1")
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)
        os.environ.clear()
        os.environ.update(before)


class Guide:
    """Says what happens, and runs each command as its user would."""

    def __init__(self, cluster: Simulated, *, pause: bool = False, no_color: bool = False) -> None:
        self.cluster, self.pause, self.no_color = cluster, pause, no_color
        self.colour, self.width = colour(no_color), terminal_width()

    def lead(self) -> None:
        """UserError where anything comes out otherwise than it should."""
        self.say(WELCOME)
        self.run("up", "--yes", "--image", IMAGE)
        self.say(EVENING)
        self.cluster.evening()
        self.live(self.cluster.sample_is_done)
        self.cluster.night()
        self.live(self.cluster.checks_have_failed)
        self.run("status")
        self.say(MORNING)
        self.run("doctor", exit=2)
        self.expect(CAUSES)
        self.say(MEND)
        self.run("doctor", "--fix", "--yes", "--allow", "delete-pod", "--allow", "restart-runtime")
        self.live(self.cluster.checks_have_passed)
        self.expect(frozenset())
        self.say(PROOF)
        self.run("verify")
        self.say(END)

    def expect(self, causes: frozenset[str]) -> None:
        """Exactly these are found in the cluster as it is now."""
        from gpuready.cli.main import run

        with contextlib.redirect_stdout(io.StringIO()) as said:
            run(["doctor", "-o", "json"])
        found = frozenset(cause["found"]["rule"] for cause in json.loads(said.getvalue() or "{}").get("causes", ()))
        if found != causes:
            raise _defect(f"the doctor finds {', '.join(sorted(found)) or 'nothing'}")

    def say(self, text: str) -> None:
        from gpuready.report.colour import paint
        from gpuready.report.escape import wrap

        for line in wrap(" ".join(text.split()), self.width - 2):
            click.echo(paint(f"# {line}", "command", self.colour))

    def live(self, until: Callable[[], bool]) -> None:
        if not self.cluster.wait(until):
            raise _defect("its cluster did not come to where it should")

    def run(self, *args: str, exit: int = 0) -> None:
        from gpuready.cli.main import run
        from gpuready.report.colour import paint

        click.echo(paint(f"\n$ gpuready {shlex.join(args)}", "heading", self.colour))
        if self.pause:
            click.pause("")
        code = run([*args, *(["--no-color"] if self.no_color else [])])
        if code != exit:
            raise _defect(f"`gpuready {args[0]}` ended with {code} instead of {exit}")
        click.echo()


def _defect(what: str) -> UserError:
    return UserError(f"the demo does not go on: {what}", "this is a defect in gpuready; please report it")


def _wait(kubeconfig: Path) -> None:
    click.echo("The simulated cluster runs on until Ctrl-C. In another terminal:\n")
    click.echo(f"  export KUBECONFIG={kubeconfig}\n  gpuready status")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    click.echo()


WELCOME = """A cluster of two nodes with a GPU each. All of it is simulated, inside this process; what you see is the
output of the very commands. The first takes the nodes from bare to proven."""
EVENING = """In the evening somebody runs a CUDA sample where a mesh puts a sidecar into every pod. It is through in a
second. At night simulated-1 reboots, with a fresh configuration of its container runtime. Then two checks are started
there, one for the runtime and one for the GPU, and both fail. Who has the GPU?"""
MORNING = "A pod whose work is done. But that is only one of two faults:"
MEND = "Both can be mended. What cannot be undone needs a consent of its own."
PROOF = """Whoever starts the checks after a boot has started the refused one again: both pass. And the proof, by
computing on both GPUs:"""
END = """That was it: nothing was real, nothing is left of it. On a cluster of your own: gpuready up --image
REGISTRY/gpuready@sha256:..."""
