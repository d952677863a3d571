"""A sign matches what means the same, however it is spelt, and not what only looks like it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuready.knowledge.lexicon import LONGEST, _pattern, plain, sign, signs_in

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
    absent = sign("{absent}")
    assert absent.matches(plain("a" * (LONGEST - 10) + " not found"))
    assert not absent.matches(plain("a" * LONGEST + " not found"))


def has(text: str, line: str) -> bool:
    """The definition of a sign, without any of the short cuts."""
    one = sign(text)
    return all(_pattern(t).search(line) for t in one.wanted) and not any(_pattern(t).search(line) for t in one.unwanted)


SIGNS = (
    *dict.fromkeys(text for text, _ in MATCHES + DOES_NOT),
    *("nouveau 1*", "gsp_*.bin & {absent}", "glibc_2* & {absent}", "cuda-12* & !{failing}", "{starting} nvml"),
    *("*-gpu & -f*", "{gpu component} & {crashing}", "{nvidia library} .. {absent}"),
)
PIECES = (
    *sorted({piece for _, line in MATCHES + DOES_NOT for piece in line.split() if len(piece) < 30}),
    *("nouveau", "12345", "gsp_tu10x.bin", "glibc_2.34", "GLIBC2.34", "cuda12.4", "cuda_12", "starting", "NVML"),
    *("my-gpu", "nvidia-device-plugin-ctr", "CrashLoopBackOff", "libnvidia-ml.so.1:", "cannot", "open", "-fPIC"),
)


@settings(deadline=None)  # the first line of a test pays for the index
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=12),
    st.sampled_from([" ", "  ", "/", "-", "_", ""]),
)
def test_the_short_cuts_change_nothing(pieces: list[str], between: str) -> None:
    line = plain(between.join(pieces))
    assert signs_in(line).intersection(SIGNS) == {text for text in SIGNS if has(text, line)}


@given(st.text(max_size=300))
def test_no_text_breaks_a_sign(line: str) -> None:
    assert sign("{nvidia} .. {absent} & !{denied} x").matches(plain(line)) in (True, False)
