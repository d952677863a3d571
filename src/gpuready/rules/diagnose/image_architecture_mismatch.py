"""An image or a digest of one platform only, on a node of another."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "image-architecture-mismatch",
    "install",
    "the image is built for another CPU architecture than the node",
    signs=(
        "exec format error & !modprobe & !insmod & !insert & !{nvidia module}",
        "no match for platform in manifest",
        "no matching manifest for",
        "no image found in * index for architecture",
        "platform * does not match .. platform",
        "no image found in manifest list for architecture",
    ),
    next=(
        "compare kubectl get node -o wide (kubernetes.io/arch) with the platforms of the image (docker"
        " manifest inspect IMAGE) and use a multi-arch tag or the index digest"
    ),
)
