"""Whatever a kubeconfig holds, it is a configuration or a UserError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_kubeconfig import ONE

from gpuready.adapters.kube_connection import choose
from gpuready.adapters.kubeconfig import read_config
from gpuready.model.errors import UserError

WORDS = """
apiVersion kind current-context clusters contexts users name cluster context user server namespace token tokenFile exec
command args env interactiveMode auth-provider config as as-groups as-user-extra proxy-url extensions
certificate-authority certificate-authority-data insecure-skip-tls-verify tls-server-name
"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["c", "k", "u"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5),
    max_leaves=25,
)
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(st.binary(max_size=400))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    _config_or_user_error(tmp_path, data)


@quick
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_tree(tmp_path: Path, tree: dict[str, Any]) -> None:
    _config_or_user_error(tmp_path, yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogateescape"))


@quick
@given(VALUES, VALUES, VALUES)
def test_any_entries(tmp_path: Path, cluster: Any, user: Any, context: Any) -> None:
    tree = {
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": context or {"cluster": "k", "user": "u"}}],
    }
    _config_or_user_error(tmp_path, json.dumps(tree).encode())


@quick
@given(st.data())
def test_a_good_file_with_any_one_piece_replaced(tmp_path: Path, data: st.DataObject) -> None:
    good = ONE.encode()
    begin = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(begin, min(len(good), begin + 12)))
    _config_or_user_error(tmp_path, good[:begin] + data.draw(st.binary(max_size=8)) + good[end:])


def _config_or_user_error(folder: Path, data: bytes) -> None:
    path = folder / "f"
    path.write_bytes(data)
    told = ""
    try:
        choose(path, env={})
    except UserError as error:
        told = str(error)
    assert told.replace("\n", "").isprintable()


@quick
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=6), st.integers(0, 6))
def test_merging_is_as_reading_one_file_with_the_first_of_each_name(
    tmp_path: Path, entries: list[tuple[str, int]], cut: int
) -> None:
    parts = entries[:cut], entries[cut:]
    paths = []
    for i, part in enumerate(parts):
        paths.append(tmp_path / f"m{i}")
        clusters = [{"name": name, "cluster": {"server": f"https://{n}"}} for name, n in part]
        paths[-1].write_text(json.dumps({"clusters": clusters}))
    first: dict[str, str] = {}
    for name, n in entries:
        first.setdefault(name, f"https://{n}")
    assert {name: cluster.server for name, (cluster, _) in read_config(paths).clusters.items()} == first
