"""One archive of what a machine without network needs for a testbed: binaries, keys and certificates, this package.

Unpacked in DIR, as root: cd DIR && python3 -m testbed up --binaries DIR/cache --pki DIR/pki --machine-gpus node1
"""

import io
import lzma
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from testbed import pki
from testbed.binaries import Binaries, Say
from testbed.errors import TestbedError

PACKAGE = Path(__file__).parent
LIBC = (
    "linux-vdso",
    "ld-linux",
    "libc.so",
    "libm.so",
    "libdl.so",
    "librt.so",
    "libpthread.so",
)  # every machine has its own
WRAPPER = '#!/bin/sh\nLD_LIBRARY_PATH=${0%/*}/../lib exec "${0%/*}/ip.real" "$@"\n'  # for this program alone
DICTIONARY = 256 << 20  # bytes; one solid archive of similar Go programs: a larger window finds what they share

FILTERS = [
    {"id": lzma.FILTER_X86},
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": DICTIONARY},
]


def _libraries(program: Path) -> list[Path]:
    """The shared libraries a program needs beyond the C library (ldd(1))."""
    lines = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    paths = [word for line in lines for word in line.split() if word.startswith("/")]
    return [Path(path) for path in paths if not Path(path).name.startswith(LIBC)]


def _add_text(tar: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    tar.addfile(entry, io.BytesIO(text.encode()))


def add_binaries(tar: tarfile.TarFile, binaries: Binaries, say: Say) -> None:
    """Build what is missing and add it below cache/, with `ip` and its libraries. TestbedError when it cannot."""
    binaries.build(say)
    address = shutil.which("ip")
    if address is None:
        raise TestbedError("`ip` is not on PATH; install it: apt-get install iproute2")
    for path in binaries.needed():
        tar.add(path, f"cache/{path.relative_to(binaries.root)}")
    tar.add(Path(address).resolve(), "cache/bin/ip.real")
    _add_text(tar, "cache/bin/ip", WRAPPER, 0o755)
    for library in _libraries(Path(address)):
        tar.add(library.resolve(), f"cache/lib/{library.name}")


def _fill(tar: tarfile.TarFile, binaries: Binaries, keys: Path, say: Say) -> None:
    add_binaries(tar, binaries, say)
    tar.add(keys, "pki")
    for source in sorted([*PACKAGE.glob("*.py"), *PACKAGE.glob("replay/*.c"), *PACKAGE.glob("captures/*.json")]):
        tar.add(source, f"testbed/{source.relative_to(PACKAGE)}")


def pack(binaries: Binaries, target: Path, say: Say) -> None:
    """Write the archive (tar and xz), mode 0600 for its private keys. TestbedError if something is missing."""
    say(f"packing into {target} (about 10 minutes and 3 GB of memory)")
    started = time.monotonic()
    partial = target.with_name(target.name + ".partial")
    partial.touch(mode=0o600)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pki.create(Path(folder) / "pki")
            with lzma.open(partial, "wb", filters=FILTERS) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
                _fill(tar, binaries, Path(folder) / "pki", say)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    say(f"{target}: {target.stat().st_size >> 20} MiB in {time.monotonic() - started:.0f} s")
