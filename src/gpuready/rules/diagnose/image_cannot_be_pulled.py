"""ImagePullBackOff without a telling reason: it follows from whatever keeps the registry or the image away."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "image-cannot-be-pulled",
    "install",
    "an image cannot be pulled; why is not told here",
    signs=(
        (
            "{image not pulled} & {image} & {pulling} & !{no such image} & !not found & !{unauthorized} &"
            " !{untrusted} & !{timeout} & !{refused} & !{unresolved} & !proxyconnect & !denied & !http response"
            " & !method not allowed & !bad gateway & !no match for platform & !in manifest list & !no image"
            " found & !{unserved driver image}"
        ),
        "invalidimagename",
        "errimageneverpull",
        "couldn't parse image",
    ),
    next=(
        "read the event that begins with Failed to pull image: kubectl describe pod POD, or kubectl get"
        " events --field-selector reason=Failed"
    ),
    symptom=True,
    because=(
        "image-pull-unauthorized",
        "image-removed-from-registry",
        "registry-rate-limited",
        "driver-image-not-published-for-os",
        "image-architecture-mismatch",
        "ngc-user-expanded-by-shell",
    ),
)
