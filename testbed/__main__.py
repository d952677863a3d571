"""python -m testbed: see testbed/README.md."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from testbed import pki
from testbed.binaries import KUBERNETES, RELEASES, Binaries, cache, release
from testbed.cluster import Testbed, destroy
from testbed.errors import TestbedError
from testbed.pack import pack
from testbed.settings import DRIVER_ROOT

STARTED = time.monotonic()
KUBERNETES_OPTION: dict[str, Any] = {
    "default": KUBERNETES,
    "type": release,
    "metavar": "X.Y[.Z]",
    "help": f"any X.Y.Z, or {', '.join(RELEASES)} (default: %(default)s)",
}


def say(line: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f} s] {line}", file=sys.stderr, flush=True)


def _pair(text: str) -> tuple[str, Path]:
    node, mark, path = text.partition("=")
    if not mark:
        raise argparse.ArgumentTypeError(f"{text!r} is not NODE=CAPTURE")
    return node, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testbed", description="Real Kubernetes nodes on this machine (root)."
    )
    parser.add_argument(
        "--name", default="default", help="which testbed; several can run at once (default: %(default)s)"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="build what is missing, start nodes, wait until they are Ready")
    up.add_argument("--nodes", type=int, default=2, help="1, 2 or 3 (default: %(default)s)")
    up.add_argument("--status-every", default="1s", help="how often a kubelet reports its node (default: %(default)s)")
    up.add_argument(
        "--replay",
        type=_pair,
        action="append",
        default=[],
        metavar="NODE=CAPTURE",
        help="give a node the GPUs of a capture",
    )
    up.add_argument(
        "--machine-gpus", action="append", default=[], metavar="NODE", help="give a node this machine's own GPUs"
    )
    up.add_argument(
        "--driver-root", default=DRIVER_ROOT, help="where such nodes have the driver (default: %(default)s)"
    )
    up.add_argument("--pki", type=Path, help="keys and certificates made before by: python -m testbed pki DIR")
    build = verbs.add_parser("build", help="build or fetch the binaries, start nothing")
    for verb in (up, build):
        verb.add_argument("--kubernetes", **KUBERNETES_OPTION)
        verb.add_argument(
            "--binaries", type=Path, default=cache(), help="folder of the binaries (default: %(default)s)"
        )
    run = verbs.add_parser("exec", help="run a command in the testbed's network, with KUBECONFIG set")
    run.add_argument("--node", help="run it on this node instead")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD...")
    verbs.add_parser("status", help="what runs")
    verbs.add_parser("kubeconfig", help="print the path of the cluster-admin kubeconfig")
    verbs.add_parser("down", help="end it and remove all of it, also after a crash")
    keys = verbs.add_parser("pki", help="make keys and certificates only")
    keys.add_argument("folder", type=Path)
    archive = verbs.add_parser("pack", help="one archive of all that a machine without network needs (10 minutes)")
    archive.add_argument("target", type=Path)
    archive.add_argument("--kubernetes", **KUBERNETES_OPTION)
    return parser


def _up(args: argparse.Namespace) -> int:
    testbed = Testbed.up(
        args.nodes,
        args.kubernetes,
        dict(args.replay),
        args.status_every,
        name=args.name,
        binaries=args.binaries,
        pki=args.pki,
        driver_root=args.driver_root,
        machine_gpus=args.machine_gpus,
        say=say,
    )
    say(
        f"{args.nodes} node(s) of Kubernetes {args.kubernetes} Ready; registry {testbed.registry}; "
        f"kubeconfig {testbed.kubeconfig}"
    )
    named = "" if args.name == "default" else f"--name {args.name} "
    say(f"run commands inside: python -m testbed {named}exec -- kubectl get nodes")
    return 0


def _exec(args: argparse.Namespace) -> int:
    argv = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not argv:
        raise TestbedError("no command given: python -m testbed exec -- kubectl get nodes")
    testbed = Testbed.find(args.name)
    command, env = testbed.command(argv)
    if args.node:
        node = testbed.node(args.node)
        command, env = [*node.space.enter(), *argv], testbed.settings.files().environment()
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, env)
    except FileNotFoundError:
        raise TestbedError("nsenter is not on PATH (Debian package util-linux)") from None


def _status(args: argparse.Namespace) -> int:
    testbed = Testbed.find(args.name)
    settings = testbed.settings
    print(f"testbed {settings.name}  Kubernetes {settings.kubernetes}  state {settings.state}")
    parts = {
        "testbed": ("etcd", "api", "controllers", "scheduler", "registry"),
        **{n.name: ("containerd", "kubelet") for n in testbed.nodes},
    }
    complete = True
    for name, processes in parts.items():
        space = testbed.node(name).space if name != "testbed" else testbed.space
        running = {process: space.process(process) for process in processes}
        complete &= all(running.values())
        print(
            f"{name:8}", "  ".join(f"{process} {found.pid if found else 'DOWN'}" for process, found in running.items())
        )
    return 0 if complete else 1


def _down(args: argparse.Namespace) -> int:
    say("all gone" if destroy(args.name) else f"no testbed {args.name}: nothing to do")
    return 0


def _kubeconfig(args: argparse.Namespace) -> int:
    print(Testbed.find(args.name).kubeconfig)
    return 0


def _build(args: argparse.Namespace) -> int:
    binaries = Binaries(args.binaries.absolute(), args.kubernetes)
    binaries.build(say)
    say(f"complete: {binaries.root} (Kubernetes {binaries.kubernetes})")
    return 0


def _pki(args: argparse.Namespace) -> int:
    pki.create(args.folder)
    say(f"keys and certificates in {args.folder}; secret, so keep them out of any repository")
    return 0


def _pack(args: argparse.Namespace) -> int:
    pack(Binaries(cache(), args.kubernetes), args.target, say)
    return 0


VERBS = {
    "pack": _pack,
    "up": _up,
    "exec": _exec,
    "status": _status,
    "down": _down,
    "kubeconfig": _kubeconfig,
    "build": _build,
    "pki": _pki,
}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an `up` that is ended so removes what it made
    try:
        args = _parser().parse_args()
        return VERBS[args.verb](args)
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
