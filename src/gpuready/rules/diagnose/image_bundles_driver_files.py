"""A layer holds libnvidia-ml.so.1 or its like; the hook cannot create what is there."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "image-bundles-driver-files",
    "container start",
    "the image brings driver files of its own, in the place of the host's",
    signs=(
        "file creation failed & file exists",
        "mount error & file exists",
        "{nvidia library} & file exists",
        "{nvidia library} & file creation failed",
    ),
    next=(
        "take the packages with libnvidia-compute or nvidia-utils out of the image (or delete the named file in its "
        "last layer)"
    ),
)
