"""What is read from the configuration of a container runtime: texts in, RuntimeConfig out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuready.model.facts.host import RuntimeConfig
from gpuready.model.unknown import Unknown
from gpuready.node.runtime_read import (
    LARGEST,
    MOST_FILES,
    Files,
    Unreadable,
    parse_json,
    parse_toml,
    read_containerd,
    read_crio,
    read_docker,
)

ROOT = "/etc/containerd/config.toml"
DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
V2, V3 = 'plugins."io.containerd.grpc.v1.cri"', 'plugins."io.containerd.cri.v1.runtime"'
NVIDIA = "/usr/bin/nvidia-container-runtime"


def files(tree: Mapping[str, str | Unknown]) -> Files:
    """Of a node that has exactly these; what is Unknown cannot be seen, and so cannot the folder it is in."""

    def names(folder: str) -> tuple[str, ...] | Unknown | None:
        inside = {path: text for path, text in tree.items() if path.rpartition("/")[0] == folder}
        hidden = next((text for text in inside.values() if isinstance(text, Unknown)), None)
        if hidden is not None:
            return hidden
        return tuple(path.rpartition("/")[2] for path in inside) if inside else None

    return Files(lambda path: tree.get(path), names)


def handler(section: str, name: str = "nvidia", binary: str = NVIDIA) -> str:
    options = f'[{section}.containerd.runtimes.{name}.options]\nBinaryName = "{binary}"\n'
    return f'[{section}.containerd.runtimes.{name}]\nruntime_type = "io.containerd.runc.v2"\n{options}'


def containerd(**fields: object) -> RuntimeConfig:
    plain = {"runtime": "containerd", "path": ROOT, "files": (ROOT,), "handlers": ("runc",), "default_handler": "runc"}
    return RuntimeConfig(**{**plain, **fields})  # type: ignore[arg-type]


BOTH = {"handlers": ("nvidia", "runc"), "binaries": {"nvidia": NVIDIA}}
TWO_FILES = {"files": (ROOT, DROP_IN)}
CONTAINERD: dict[str, tuple[dict[str, str | Unknown], RuntimeConfig | None]] = {
    "no file: nothing is known of this containerd": ({}, None),
    "an empty file is of version 2 and has what containerd has by itself": ({ROOT: ""}, containerd()),
    "a file without a version is of version 1": ({ROOT: "root = '/x'\n" + handler("plugins.cri")}, containerd(**BOTH)),
    "version 1 may also name the plugin in full": ({ROOT: "root = '/x'\n" + handler(V2)}, containerd(**BOTH)),
    "version 2": ({ROOT: "version = 2\n" + handler(V2)}, containerd(**BOTH)),
    "version 3": ({ROOT: "version = 3\n" + handler(V3)}, containerd(**BOTH)),
    "version 4 keeps the plugin's name": ({ROOT: "version = 4\n" + handler(V3)}, containerd(**BOTH)),
    "the default handler and CDI": (
        {ROOT: f"version = 2\n[{V2}]\nenable_cdi = true\n[{V2}.containerd]\ndefault_runtime_name = 'nvidia'\n"},
        containerd(default_handler="nvidia", cdi=True),
    ),
    "a section of version 2 in a file of version 3 is read by nobody": (
        {ROOT: "version = 3\n" + handler(V2)},
        containerd(misplaced=("nvidia",)),
    ),
    "a drop-in by a pattern": (
        {ROOT: "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n", DROP_IN: "version = 3\n" + handler(V3)},
        containerd(**BOTH, **TWO_FILES),
    ),
    "a relative import counts from the folder of its file": (
        {ROOT: "version = 3\nimports = ['conf.d/99-nvidia.toml']\n", DROP_IN: "version = 3\n" + handler(V3)},
        containerd(**BOTH, **TWO_FILES),
    ),
    "containerd before 2.0 loses what a later section does not repeat": (
        {
            ROOT: "version = 2\nimports = ['/etc/containerd/conf.d/*']\n" + handler(V2),
            DROP_IN: f"version = 2\n[{V2}]\nenable_cdi = true\n",
        },
        containerd(**BOTH, **TWO_FILES, cdi=True, replaced=("nvidia",)),
    ),
    "a later file changes the default handler": (
        {
            ROOT: f"version = 2\nimports = ['conf.d/*']\n[{V2}.containerd]\ndefault_runtime_name = 'nvidia'\n",
            DROP_IN: f"version = 2\n[{V2}.containerd]\ndefault_runtime_name = 'runc'\n",
        },
        containerd(**TWO_FILES),
    ),
    "files that import each other are read once": (
        {ROOT: "version = 2\nimports = ['conf.d/*']\n", DROP_IN: f"version = 2\nimports = ['{ROOT}', '{DROP_IN}']\n"},
        containerd(**TWO_FILES),
    ),
    "an import that is not there": (
        {ROOT: "version = 2\nimports = ['/etc/x.toml']\n"},
        containerd(problem="it imports /etc/x.toml, which is not there"),
    ),
    "a pattern that nothing fits is no fault": ({ROOT: "version = 2\nimports = ['/etc/x/*.toml']\n"}, containerd()),
    "a drop-in of a higher version": (
        {ROOT: "version = 2\nimports = ['conf.d/*']\n", DROP_IN: "version = 3\n"},
        containerd(**TWO_FILES, problem=f"{DROP_IN} is of version 3, the root file of 2"),
    ),
    "an import that cannot be seen from here": (
        {ROOT: "version = 2\nimports = ['/run/k0s/cri.toml']\n", "/run/k0s/cri.toml": Unknown("not mounted")},
        containerd(unread=("/run/k0s/cri.toml",)),
    ),
    "a folder that cannot be seen from here": (
        {ROOT: "version = 2\nimports = ['/run/k0s/*.toml']\n", "/run/k0s/cri.toml": Unknown("not mounted")},
        containerd(unread=("/run/k0s/*.toml",)),
    ),
    "the root file cannot be seen from here": ({ROOT: Unknown("x")}, containerd(files=(), unread=(ROOT,))),
    "the CRI plugin is switched off": (
        {ROOT: "disabled_plugins = ['cri']\n"},
        containerd(problem="disabled_plugins has cri: the kubelet cannot use this containerd"),
    ),
    "a broken line": (
        {ROOT: "version = 2\n[plugins\n"},
        containerd(files=(), problem="Expected ']' at the end of a table declaration (at line 2, column 9)"),
    ),
    "a version that is no number": ({ROOT: "version = '2'\n"}, containerd(files=(), problem="version is no number")),
    "what is no table where one belongs is left out": (
        {ROOT: f"version = 2\nimports = 7\n[{V2}]\ncontainerd = 5\n"},
        containerd(),
    ),
}


@pytest.mark.parametrize("sentence", CONTAINERD)
def test_containerd(sentence: str) -> None:
    tree, expected = CONTAINERD[sentence]
    assert read_containerd(ROOT, files(tree)) == expected


def test_there_is_an_end_to_imports() -> None:
    tree = {ROOT: "version = 2\nimports = ['/c/*']\n", **{f"/c/{n:03d}.toml": "version = 2\n" for n in range(200)}}
    found = read_containerd(ROOT, files(tree))
    assert found
    assert (len(found.files), found.problem) == (MOST_FILES, f"more than {MOST_FILES} files are imported")


CRIO = "/etc/crio/crio.conf"
CRUN = '[crio.runtime.runtimes.crun]\nruntime_path = "/usr/bin/crun"\n'
ENTRY = f'[crio.runtime.runtimes.nvidia]\nruntime_path = "{NVIDIA}"\nruntime_type = "oci"\n'


def crio(**fields: object) -> RuntimeConfig:
    return RuntimeConfig(**{"runtime": "cri-o", "path": CRIO, **fields})  # type: ignore[arg-type]


CRIO_CASES: dict[str, tuple[dict[str, str | Unknown], RuntimeConfig | None]] = {
    "neither the file nor its folder": ({}, None),
    "files of the folder count in the order of their names, and alone too": (
        {
            f"{CRIO}.d/10-crio.conf": '[crio.runtime]\ndefault_runtime = "nvidia"\n' + CRUN,
            f"{CRIO}.d/99-nvidia.toml": '[crio.runtime]\ndefault_runtime = "crun"\n' + ENTRY,
        },
        crio(
            files=(f"{CRIO}.d/10-crio.conf", f"{CRIO}.d/99-nvidia.toml"),
            handlers=("crun", "nvidia"),
            default_handler="crun",
            binaries={"crun": "/usr/bin/crun", "nvidia": NVIDIA},
        ),
    ),
    "a broken drop-in does not hide the others": (
        {CRIO: CRUN, f"{CRIO}.d/50.conf": "x"},
        crio(
            files=(CRIO,),
            handlers=("crun",),
            binaries={"crun": "/usr/bin/crun"},
            problem=f"{CRIO}.d/50.conf: Expected '=' after a key in a key/value pair (at end of document)",
        ),
    ),
    "the folder cannot be seen from here": (
        {CRIO: CRUN, f"{CRIO}.d/50.conf": Unknown("x")},
        crio(files=(CRIO,), handlers=("crun",), binaries={"crun": "/usr/bin/crun"}, unread=(f"{CRIO}.d",)),
    ),
}


@pytest.mark.parametrize("sentence", CRIO_CASES)
def test_crio(sentence: str) -> None:
    tree, expected = CRIO_CASES[sentence]
    assert read_crio(CRIO, files(tree)) == expected


DAEMON = "/etc/docker/daemon.json"


def docker(**fields: object) -> RuntimeConfig:
    plain = {"runtime": "docker", "path": DAEMON, "files": (DAEMON,), "handlers": ("runc",), "default_handler": "runc"}
    return RuntimeConfig(**{**plain, **fields})  # type: ignore[arg-type]


DOCKER: dict[str, tuple[dict[str, str | Unknown], RuntimeConfig | None]] = {
    "no file": ({}, None),
    "an empty file": ({DAEMON: "\n"}, docker()),
    "a runtime by its name in PATH, as default, and CDI": (
        {
            DAEMON: '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}},'
            ' "default-runtime": "nvidia", "features": {"cdi": true}}'
        },
        docker(
            handlers=("nvidia", "runc"),
            default_handler="nvidia",
            cdi=True,
            binaries={"nvidia": "nvidia-container-runtime"},
        ),
    ),
    "a comma too many": (
        {DAEMON: '{"runtimes": {},}'},
        RuntimeConfig(
            runtime="docker",
            path=DAEMON,
            files=(DAEMON,),
            problem="Expecting property name enclosed in double quotes: line 1 column 17 (char 16)",
        ),
    ),
    "no object": (
        {DAEMON: "[]"},
        RuntimeConfig(runtime="docker", path=DAEMON, files=(DAEMON,), problem="it is no JSON object"),
    ),
    "it cannot be seen from here": (
        {DAEMON: Unknown("x")},
        RuntimeConfig(runtime="docker", path=DAEMON, unread=(DAEMON,)),
    ),
}


@pytest.mark.parametrize("sentence", DOCKER)
def test_docker(sentence: str) -> None:
    tree, expected = DOCKER[sentence]
    assert read_docker(DAEMON, files(tree)) == expected


WORDS = (
    "version = 2 3 \n [ ] \" ' . imports plugins cri * / .. { } , io.containerd.grpc.v1.cri"
    " io.containerd.cri.v1.runtime containerd runtimes nvidia BinaryName disabled_plugins"
    " default_runtime_name enable_cdi true crio runtime é"
)
PIECES = st.sampled_from([*WORDS.split(" "), "\0", "\ud800", "9" * 50])
TEXTS = st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=60))


@given(st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_whatever_the_files_say_there_is_an_answer(texts: list[str]) -> None:
    tree = dict(zip((ROOT, DROP_IN, f"{CRIO}.d/9.conf"), texts, strict=False))
    read = [read_containerd(ROOT, files(tree)), read_crio(CRIO, files(tree)), read_docker(ROOT, files(tree))]
    assert all(isinstance(one, RuntimeConfig | None) for one in read)
    for one in read:
        names = [*one.handlers, one.default_handler, one.problem, *one.binaries.values()] if one else []
        assert [name for name in names if not name.isprintable() or len(name) > 400] == []


@pytest.mark.parametrize(
    "text",
    [
        "a." * 40_000 + "b = 1",
        '"=".' * 40_000 + "b = 1",
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 50_000,
        "#" * LARGEST * 2,
    ],
    ids=["long key", "long quoted key", "deep list", "deep table", "large"],
)
def test_a_text_that_would_take_all_memory_or_stack_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_toml(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, " " * LARGEST * 2], ids=["list", "object", "large"])
def test_json_likewise(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_json(text)
