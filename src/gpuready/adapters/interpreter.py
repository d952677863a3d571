"""The running Python as files of an image: interpreter, standard library and the shared libraries they link to."""

from __future__ import annotations

import marshal
import os
import re
import struct
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from gpuready.adapters.oci import Entry, Tree
from gpuready.model.errors import UserError

PREFIX = "usr/local"  # of Python in the image; it finds its library by its own place, without PYTHONHOME
EXECUTABLE = f"/{PREFIX}/bin/python3"
CAPTURE_SECONDS = 120

# Not in the image: tests, what only a person at a terminal uses, what installs packages, and what describes the build
# of this interpreter (paths of this machine).
LEFT_OUT = re.compile(
    r"(test|tests|idlelib|tkinter|turtle.*|ensurepip|lib2to3|pydoc_data|venv|sqlite3|curses|dbm|distutils|site-packages"
    r"|dist-packages|config-.*|_sysconfigdata.*|sitecustomize\.py|usercustomize\.py|__pycache__|.*\.(pyc|pth|a|exe|bat)"
    r"|(_tkinter|_sqlite3|_curses|_curses_panel|readline|nis|_gdbm|_dbm|_crypt|ossaudiodev|_test.*|_ctypes_test|_xx.*|xx.*)\..*so)"
)
SHARED = re.compile(r"\.so(\.\d+)*$")
# Loaded by name at run time, so that no link shows them: libcuda.so.1 and libnvidia-ml.so.1 need the first three (stubs
# since glibc 2.34, still looked for), getaddrinfo the libnss ones (before 2.34), a thread's end libgcc_s.
BY_NAME = (
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libresolv.so.2",
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libgcc_s.so.1",
)

# Runs in a child with a fixed hash seed: what marshal writes depends on the history of the process that writes it.
COMPILE = """
import importlib.util, marshal, sys
sources, compiled = marshal.load(sys.stdin.buffer), {}
for path in sorted(sources):
    try:
        code = compile(sources[path], "/" + path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        continue
    header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(sources[path])
    compiled[path] = header + marshal.dumps(code)
marshal.dump(compiled, sys.stdout.buffer)
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Where the interpreter beneath this process, also beneath a virtual environment, has its parts."""

    executable: Path
    prefix: Path
    stdlib: Path


def running() -> Interpreter:
    """The interpreter of this process. UserError when an image cannot be made of it."""
    if sys.implementation.name != "cpython":
        raise UserError(
            f"the image is made of CPython, and this is {sys.implementation.name}", "run gpuready with CPython"
        )
    executable = Path(getattr(sys, "_base_executable", None) or sys.executable or "").resolve()
    stdlib = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
    if not executable.is_file() or not (stdlib / "os.py").is_file() or not stdlib.is_relative_to(sys.base_prefix):
        raise UserError(
            f"no complete Python: executable {executable}, standard library {stdlib}",
            "run gpuready with an installed Python (an embedded or zipped one has no files to copy)",
        )
    return Interpreter(executable, Path(sys.base_prefix), stdlib)


def site_directory(python: Interpreter) -> str:
    """Image path of the directory where that Python will look for packages."""
    asked = f"import site; print(site.getsitepackages(['/{PREFIX}'])[-1])"
    return _child([str(python.executable), "-I", "-S", "-c", asked]).decode().strip().lstrip("/")


def interpreter_tree(python: Interpreter) -> Tree:
    """Interpreter, standard library and their shared libraries, debug information taken off."""
    tree: Tree = {EXECUTABLE.lstrip("/"): Entry(trimmed(python.executable.read_bytes()), 0o755)}
    binaries = [python.executable]
    for path in _stdlib_files(python.stdlib):
        data = path.read_bytes()
        if SHARED.search(path.name):
            binaries.append(path)
            data = trimmed(data)
        tree[f"{PREFIX}/{path.relative_to(python.prefix)}"] = Entry(data)
    return tree | shared_libraries(python, binaries)


def shared_libraries(python: Interpreter, binaries: list[Path]) -> Tree:
    """What `binaries` and the libraries loaded by name link to, where the image's loader looks without being told.

    A library that the loader here found in the interpreter's own folder goes before a system library of the same name.
    """
    loader_folder = _folder_of_libc(python)
    by_name = [loader_folder / name for name in BY_NAME if (loader_folder / name).is_file()]
    found = _linked([*binaries, *by_name]) | set(by_name)
    known = {path.resolve() for path in binaries}
    tree: Tree = {}
    for path in sorted(found, key=lambda path: (not path.is_relative_to(python.prefix), path)):
        if path.resolve() in known:
            continue
        is_loader = path.name.startswith("ld-")
        place = path if is_loader else loader_folder / path.name
        tree.setdefault(str(place).lstrip("/"), Entry(trimmed(path.read_bytes()), 0o755 if is_loader else 0o644))
    return tree


def compiled(tree: Tree) -> Tree:
    """Byte code of the Python files of `tree`, unchecked against the source (PEP 552), the same bytes each time."""
    sources = {path: entry.data for path, entry in tree.items() if path.endswith(".py") and entry.data is not None}
    quiet = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(running().executable), "-S", "-s", "-P", "-W", "ignore", "-c", COMPILE]
    answer = marshal.loads(_child(command, marshal.dumps(sources), {**quiet, "PYTHONHASHSEED": "0"}))
    return {_cache_path(path): Entry(data) for path, data in answer.items()}


def trimmed(data: bytes) -> bytes:
    """An ELF file without what lies behind its last segment: section headers, symbols, debug information.

    The loader reads segments only; an interpreter that was built by hand carries 15 MiB of debug information. Anything
    but a 64-bit little-endian ELF file is returned as it is.
    """
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        return data
    offset, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    if size < 56 or offset + size * count > len(data):
        return data
    end = offset + size * count
    for index in range(count):
        start, length = struct.unpack_from("<Q16xQ", data, offset + index * size + 8)
        end = max(end, start + length)
    if end > len(data):
        return data
    # e_shoff = 0 and e_shnum = e_shstrndx = 0: no section headers
    return data[:40] + bytes(8) + data[48:60] + bytes(4) + data[64:end]


def _stdlib_files(stdlib: Path) -> list[Path]:
    kept = []
    for folder, folders, names in os.walk(stdlib):
        folders[:] = sorted(name for name in folders if not LEFT_OUT.fullmatch(name))
        kept += [Path(folder) / name for name in sorted(names) if not LEFT_OUT.fullmatch(name)]
    return [path for path in kept if path.is_file()]


def _folder_of_libc(python: Interpreter) -> Path:
    for path in _linked([python.executable]):
        if path.name == "libc.so.6":
            return path.parent
    raise UserError(
        f"{python.executable} is not linked to glibc, which NVIDIA's libraries need",
        "run gpuready with a Python built for glibc",
    )


def _linked(binaries: list[Path]) -> set[Path]:
    text = _child(["ldd", *map(str, binaries)], environment={**os.environ, "LC_ALL": "C"}).decode(errors="replace")
    # "libm.so.6 => /lib/.../libm.so.6 (0x...)" and "/lib64/ld-linux-x86-64.so.2 (0x...)"
    return {Path(path) for path in re.findall(r"^\s(?:.* => )?(/\S.*) \(0x[0-9a-f]+\)$", text, re.MULTILINE)}


def _cache_path(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"


def _child(command: list[str], given: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, env=environment, timeout=CAPTURE_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{command[0]} is not on PATH", "install it (Debian: libc-bin; Fedora: glibc-common)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{command[0]} did not end within {CAPTURE_SECONDS} s", "run the command again") from error
    # ldd ends with 1 when one of the files is linked to nothing
    if done.returncode not in (0, 1) or (done.returncode and not done.stdout):
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise UserError(
            f"{command[0]} failed ({done.returncode}): {said[-1][:200]}", "check that this Python starts by itself"
        )
    return done.stdout
