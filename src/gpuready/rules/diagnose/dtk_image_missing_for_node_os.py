"""The operator takes the toolkit image by the OS build of the node from an image stream; some builds have none."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dtk-image-missing-for-node-os",
    "kernel driver",
    "the cluster has no Driver Toolkit image for the OS build of the node",
    signs=(
        "rhcos & imagetag missing",
        "driver-toolkit image tag missing",
        "driver-toolkit image missing",
        "rhcos-image-missing true",
        "rhcos_image_missing true",
        "driver-toolkit imagestream & {absent}",
        "driver-toolkit imagestream is broken",
        "couldn't get the driver-toolkit imagestream",
        "driver-toolkit was requested but could not be enabled",
        "driver-toolkit & imagestream* & missing",
    ),
    next=(
        "compare the tags of oc get imagestream driver-toolkit -n openshift with the osImage of the node;"
        " import the tag of that build, or update the cluster to a release that has it"
    ),
)
