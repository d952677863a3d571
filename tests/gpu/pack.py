"""Packs what the GPU run needs on a machine without network, beside the source tree.

    python tests/gpu/pack.py [FOLDER]          (default: .carry)

binaries.tar.xz  Kubernetes, containerd, runc, registry, CNI plugins, busybox, `ip`, nvidia-ctk; takes 10 to 20 minutes
                 once, then comes from the testbed's cache until one of them changes
rest.tar.xz      wheels of what gpuready requires, for Python 3.12 and for this one; a small CUDA program; keys and
                 certificates, made anew

Needs what `python -m testbed build` needs, and gcc. The archives hold private keys of a throw-away cluster: mode 0600.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from testbed import pki
from testbed.binaries import Binaries, cache
from testbed.errors import TestbedError
from testbed.pack import FILTERS, add_binaries

ROOT = Path(__file__).resolve().parents[2]
TOOLKIT = "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk@v1.20.1"
PYTHONS = (
    "3.12",
    f"{sys.version_info.major}.{sys.version_info.minor}",
)  # the GPU machine's, and that of a rehearsal here
# pip takes a wheel only for a platform that is named to the letter
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
SECCOMP = "libseccomp.so.2"  # Debian's runc is linked to it


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(argv: list[str], **env: str) -> None:
    done = subprocess.run(argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise TestbedError(f"`{' '.join(argv[:4])} ...` failed with {done.returncode}:\n{done.stderr[-2000:]}")


def toolkit() -> Path:
    """nvidia-ctk, whose CDI file ours is compared with; it is linked to libc alone and loads NVML at run time."""
    program = cache() / "gpu" / "nvidia-ctk"
    if not program.exists():
        say("building nvidia-ctk from its Go module (1 to 8 minutes)")
        flags = ["-trimpath", "-ldflags", "-s -w"]
        run(["go", "install", *flags, TOOLKIT], CGO_ENABLED="1", GOBIN=str(program.parent))
    return program


def seccomp() -> Path:
    lines = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout.splitlines()
    found = [line.split("=> ")[1] for line in lines if line.strip().startswith(SECCOMP) and "x86-64" in line]
    if not found:
        raise TestbedError(f"{SECCOMP} is not on this machine: apt-get install libseccomp2")
    return Path(found[0]).resolve()


def archive(target: Path, fill: Callable[[tarfile.TarFile], None]) -> None:
    """One solid tar and xz, which appears whole or not at all."""
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    try:
        with lzma.open(partial, "wb", filters=FILTERS) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
            fill(tar)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


def key_of(files: list[Path]) -> str:
    """Changes with any of the files; their contents would take a second to read."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def binaries(target: Path) -> None:
    made = Binaries(cache())
    made.build(say)
    program = toolkit()
    kept = program.with_name(f"binaries-{key_of([*made.needed(), program])}.tar.xz")
    if not kept.exists():
        say("packing the binaries (10 to 20 minutes and 3 GB of memory; once)")
        for old in kept.parent.glob("binaries-*.tar.xz"):
            old.unlink()

        def fill(tar: tarfile.TarFile) -> None:
            add_binaries(tar, made, say)
            tar.add(program, f"cache/bin/{program.name}")
            tar.add(seccomp(), f"cache/lib/{SECCOMP}")

        archive(kept, fill)
    target.unlink(missing_ok=True)
    shutil.copyfile(kept, target)
    target.chmod(0o600)


def wheels() -> Path:
    """A folder with a wheel of every distribution that gpuready requires, for each Python; from PyPI once."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    key = hashlib.sha256(repr((required, PYTHONS)).encode()).hexdigest()[:16]
    folder = cache() / "gpu" / f"wheels-{key}"
    if folder.exists():
        return folder
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    for version in dict.fromkeys(PYTHONS):
        say(f"downloading wheels for Python {version}")
        only = ["--only-binary=:all:", "--implementation", "cp", "--python-version", version, *platforms]
        run([sys.executable, "-m", "pip", "download", "-q", *only, "-d", str(partial), *required])
    partial.rename(folder)
    return folder


def rest(target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pki.create(folder / "pki")
        source = Path(__file__).with_name("vadd.c")
        run(["gcc", "-O2", "-Wall", "-Werror", "-s", "-o", str(folder / "vadd"), str(source), "-ldl"])

        def fill(tar: tarfile.TarFile) -> None:
            tar.add(wheels(), "wheels")
            for part in ("pki", "vadd"):
                tar.add(folder / part, part)

        archive(target, fill)


def main() -> int:
    parser = argparse.ArgumentParser(description="Pack what the GPU run needs on a machine without network.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".carry")
    folder = parser.parse_args().folder
    folder.mkdir(exist_ok=True)
    started = time.monotonic()
    try:
        rest(folder / "rest.tar.xz")
        binaries(folder / "binaries.tar.xz")
    except TestbedError as error:
        print(f"pack: {error}", file=sys.stderr)
        return 1
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    whole = sum(sizes.values()) / (1 << 20)
    say(f"{folder}: {whole:.1f} MiB in {time.monotonic() - started:.0f} s; {sizes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
