"""NVIDIA_REQUIRE_CUDA names brands and driver ranges, which new drivers and GPUs outgrow."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "cuda-image-requirement-metadata",
    "container start",
    "the image's requirement of CUDA or driver is malformed or stricter than need be",
    signs=(
        "requirement error & invalid expression",
        "requirement error & malformed",
        "unsatisfied condition & brand",
        "unsatisfied condition & arch",
    ),
    next=(
        "read NVIDIA_REQUIRE_* of the image; where the driver fits the CUDA release, set NVIDIA_DISABLE_REQUIRE=true"
    ),
)
