"""Evidence that means harm, given to the command itself: a clear line, no traceback, bounded memory and time."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.test_bundle import index

pytestmark = pytest.mark.slow
MIB = 1 << 20
MEASURED = """
import resource, sys
from gpuready.cli.main import run
code = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"\\n{code} {used.ru_maxrss >> 10} {used.ru_utime + used.ru_stime:.1f}", file=sys.stderr)
"""
CONTROL = tuple("\x1b\x9b\u202e\u2066\x07\x08\0")


def measured(*args: str, stdin: bytes = b"") -> tuple[int, str, str, int, float]:
    """(exit code, stdout, stderr, MiB, seconds of the processor) of one command in a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *args], input=stdin, capture_output=True, timeout=600)
    *errors, last = done.stderr.decode().splitlines()
    code, memory, seconds = last.split()
    return int(code), done.stdout.decode(), "\n".join(errors).strip(), int(memory), float(seconds)


FAULT = b"NVRM: Xid (PCI:0000:1b:00): 79, pid=1, GPU has fallen off the bus.\n"
ALIASES = b"apiVersion: v1\nkind: Pod\na: &a [x, x]\n" + b"".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n".encode() for n in range(20)
)
# what -> (text, exit code, what must be shown)
PASTES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 3, "undetermined"),
    "NULs": (b"\0" * MIB + FAULT, 2, "gpu-fell-off-bus"),
    "binary": (bytes(range(256)) * 4096, 3, "undetermined"),
    "half of a character": (b"\xff\xfe" + FAULT.decode().encode("utf-16-le") + b"x", 2, "gpu-fell-off-bus"),
    "another encoding": ("Größe \xa0".encode("latin-1") + b"\n" + FAULT, 2, "gpu-fell-off-bus"),
    "a line of a million characters": (b"x " * 500_000 + b"\n" + FAULT, 2, "gpu-fell-off-bus"),
    "a line of a million secrets": (b"token=abc " * 100_000 + b"\n" + FAULT, 2, "gpu-fell-off-bus"),
    "control sequences": (
        b"\x1b]0;owned\x07\x1b[2J\x1b[31m" + FAULT.replace(b"GPU", "\u202eGPU\x9b".encode()),
        2,
        "off-bus",
    ),
    "aliases that grow": (ALIASES + FAULT, 2, "gpu-fell-off-bus"),
    "an alias of itself": (b"apiVersion: v1\nkind: Pod\nmetadata: &a {b: *a}\n\n" + FAULT, 2, "gpu-fell-off-bus"),
    "deep YAML": (b"kind: Pod\napiVersion: v1\na: " + b"[" * 100_000 + b"\n" + FAULT, 2, "gpu-fell-off-bus"),
    "deep JSON": (b'{"kind": ' + b"[" * 500_000 + b"\n" + FAULT, 2, "gpu-fell-off-bus"),
    "braces that never close": (b"{\n" * 100_000 + FAULT, 2, "gpu-fell-off-bus"),
    "documents that never parse": (b"kind: x\n" * 50_000 + b"\t: [\n" + FAULT, 2, "gpu-fell-off-bus"),
    "numbers without end": (
        b'{"kind": "Pod", "apiVersion": "v1", "a": ' + b"9" * 10_000 + b"}\n" + FAULT,
        2,
        "off-bus",
    ),
    "halves of characters in JSON": (b'{"kind": "Pod", "metadata": {"name": "\\ud800"}}\n' + FAULT, 2, "off-bus"),
    "keys of any kind": (b"kind: Pod\napiVersion: v1\n1: 2\nnull: x\n2026-11-23: y\n\n" + FAULT, 2, "off-bus"),
    "more lines than are read": (b"a\n" * 250_000, 3, "undetermined"),
    "too much": (b"a" * (33 * MIB), 1, ""),
}


@pytest.mark.parametrize(("text", "code", "shown"), PASTES.values(), ids=PASTES)
def test_pasted_text(text: bytes, code: int, shown: str) -> None:
    found, out, err, memory, seconds = measured("doctor", "-", stdin=text)
    assert (found, "Traceback" in out + err, "defect" in err) == (code, False, False), err
    assert shown in out
    assert err == (
        "" if code != 1 else "error: the text is larger than 32 MiB\nnext:  paste the part around the failure"
    )
    assert [c for c in CONTROL if c in out] == []
    assert memory < 600
    assert seconds < 60


def test_the_largest_paste_takes_seconds_and_bounded_memory() -> None:
    """200,000 different lines: 0.3 ms a line was a minute."""
    lines = (
        f'2026-11-23T09:00:{n % 60:02}Z gpu-{n % 7} kubelet[{n}]: E1123 09:00:00.0 {n} pod_workers.go:1301] "Error '
        f'syncing pod" err="back-off 5m0s" pod="ml/train-{n * 7919 % 99991}" id={n * 2654435761 % 2**32:08x}\n'
        for n in range(199_000)
    )
    code, out, err, memory, seconds = measured("doctor", "-", stdin="".join(lines).encode() + FAULT)
    assert (code, err) == (2, "")
    assert "gpu-fell-off-bus" in out
    assert memory < 600
    assert seconds < 40  # below 10 on a machine that does nothing else


def packed(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as out:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            out.addfile(member, io.BytesIO(body))


def bundle_of(page: bytes) -> Callable[[Path], None]:
    """A sound bundle whose list of pods is this."""
    entries = [
        {"question": "pages /api/v1/pods?limit=500", "files": ["1.json"]},
        {"question": "pages /api/v1/nodes?limit=500", "files": ["2.json"]},
    ]
    nodes = b'{"items": [{"metadata": {"name": "gpu-1"}}]}'
    return lambda p: packed(p, {"index.json": index(entries=entries), "1.json": page, "2.json": nodes})


def pod(name: str) -> bytes:
    one = {"metadata": {"name": name, "namespace": "ml"}, "spec": {}, "status": {"phase": "Pending", "message": name}}
    return json.dumps({"items": [one]}).encode()


def zeros(path: Path) -> None:
    """700 MiB of nothing in a megabyte: more than a bundle may be."""
    with gzip.open(path, "wb", compresslevel=9) as out:
        for _ in range(12):
            member = tarfile.TarInfo("a")
            member.size = 60 * MIB
            out.write(member.tobuf())
            for _ in range(60):
                out.write(bytes(MIB))


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 999)


def million(path: Path) -> None:
    packed(path, {"index.json": index(entries=[{"question": "q"}] * 10**6)})


BUNDLES: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "a bomb": (zeros, 1, "twice"),
    "random bytes": (noise, 1, "cannot be read as a bundle"),
    "an index of a million entries": (million, 1, "larger than a bundle may be"),
    "a page nested without end": (bundle_of(b'{"items": [{"a": ' + b"[" * 10**6), 3, ""),
    "a page cut off": (bundle_of(pod("a")[:-3]), 3, ""),
    "a page that is no text": (bundle_of(b"\xff\xfe\0"), 3, ""),
    "a name that a terminal obeys": (bundle_of(pod("\x1b]0;x\x07\u202ea")), 3, ""),
}


@pytest.mark.parametrize("verb", [["doctor"], ["why", "pod/a"]], ids=" ".join)
@pytest.mark.parametrize(("make", "code", "said"), BUNDLES.values(), ids=BUNDLES)
def test_bundles(make: Callable[[Path], None], code: int, said: str, verb: list[str], tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    make(path)
    found, out, err, memory, seconds = measured(*verb, "--from", str(path))
    assert ("Traceback" in out + err, "defect" in err) == (False, False), err
    assert found in ((code,) if verb == ["doctor"] else (code, 1))
    assert said in err
    assert [c for c in CONTROL if c in out + err] == []
    assert memory < 900
    assert seconds < 60
