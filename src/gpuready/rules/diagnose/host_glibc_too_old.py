"""Tools copied from a newer image to an older host, or a plugin linked against a newer glibc than its image has."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "host-glibc-too-old",
    "libraries",
    "a binary wants a newer glibc than the one that it finds",
    signs=(
        "glibc_2* & {absent}",
        "glibc_2* & required by",
        "libc.so.6 version & {absent}",
        "libc.so.6 & glibc*",
    ),
    next="compare `ldd --version` of the host or image with the version named, and take a release built for it",
)
