"""The build insists on the kernel's compiler, which is not there."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "compiler-mismatch",
    "kernel driver",
    "no compiler that fits the one the kernel was built with",
    signs=(
        "compiler version check failed",
        "failed cc version check",
        "{mismatch} the compiler used here",
        "cc version check & {failing}",
        "gcc-1* {absent}",
        "x86_64-linux-gnu-gcc-* {absent}",
        "gcc-9 {absent}",
        "unable to find the development tool & cc",
        "unable to find the development tool",
        "{compiler} error unrecognized command-line option",
        "unrecognized command-line option & -f*",
        "{compiler} & {mismatch} & kernel & !warning & !differs",
        "kernel requires gcc version & current gcc version",
        "{compiler} & {absent} & {load module}",
        "compiler used to compile the kernel & {mismatch}",
        "you appear to be compiling with a compiler different",
    ),
    because=("kernel-headers-missing",),
    next=(
        "install the gcc that `cat /proc/version` names, or use a driver image or release whose compiler"
        " fits that kernel"
    ),
)
