"""The manifest is unknown: pinned images are sometimes deleted, and tags mistyped."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "image-removed-from-registry",
    "install",
    "the registry has no image of that name, tag or digest",
    signs=(
        "{pulling} & {no such image} & !*/driver:* & !pull access denied & !{unauthorized} & !{unresolved}",
        (
            "{pulling} & not found & !*/driver:* & !pull access denied & !{unauthorized} & !{unresolved} &"
            " !{secret} & !executable file"
        ),
    ),
    who=("kubelet", "runtime", "apiserver", "operator"),
    next=(
        "look the tag or digest up in the registry (skopeo inspect docker://IMAGE); if it is gone, install a"
        " chart release whose values name an image that exists"
    ),
)
