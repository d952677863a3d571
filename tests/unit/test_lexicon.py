"""A sign matches what means the same, however it is spelt, and not what only looks like it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuready.knowledge.lexicon import LONGEST, means, plain, sign

MATCHES = [
    ("no runtime for", 'failed: no runtime for "nvidia" is configured'),
    ("no runtime for", "No Runtime\tfor: x"),
    ("no .. configured", 'no runtime for "nvidia" is configured'),
    ("c 195 * m", "c 195:* m"),
    ("kernel-headers", "package kernel_headers is gone"),
    ("linux-headers*", "E: Unable to locate package linux-headers-5.15.0-91-generic"),
    ("{kernel headers} & {absent}", "E: Unable to locate package linux-headers-5.15.0-91-generic"),
    ("{nvml} & {mismatch}", "Failed to initialize NVML: Driver/library version mismatch"),
    ("{nvidia} & {unsigned}", "modprobe: ERROR: could not insert 'nvidia': Required key not available"),
    ("{image} & {unauthorized} & !{proxy}", "Failed to pull image: 401 Unauthorized"),
]
DOES_NOT = [
    ("no runtime for", "no runtimes for x"),
    ("runtime no", "no runtime"),
    ("{kernel headers} & {absent}", "linux-headers-6.1.0 installed"),
    ("{image} & {unauthorized} & !{proxy}", "Failed to pull image: proxyconnect tcp: 403 Forbidden"),
    ("401", "port 4010"),
    ("no .. configured", "no " + "word " * 9 + "configured"),
]


@pytest.mark.parametrize(("text", "line"), MATCHES)
def test_matches(text: str, line: str) -> None:
    assert sign(text).matches(plain(line))


@pytest.mark.parametrize(("text", "line"), DOES_NOT)
def test_does_not_match(text: str, line: str) -> None:
    assert not sign(text).matches(plain(line))


def test_words_weigh_more_than_meanings() -> None:
    assert [sign(t).weight for t in ("a b & c", "{absent} .. {nvml}", "a * {denied} & !b")] == [3.0, 1.0, 1.5]


@pytest.mark.parametrize("text", ["", " & a", "a &", "!a", "a & !", "{no such meaning}"])
def test_what_is_no_sign_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=re.compile("no sign|has no")):
        sign(text)


def test_a_line_is_looked_at_up_to_a_bound() -> None:
    assert means("a" * (LONGEST - 10) + " not found", "absent")
    assert not means("a" * LONGEST + " not found", "absent")


@given(st.text(max_size=300))
def test_no_text_breaks_a_sign(line: str) -> None:
    assert sign("{nvidia} .. {absent} & !{denied} x").matches(plain(line)) in (True, False)
