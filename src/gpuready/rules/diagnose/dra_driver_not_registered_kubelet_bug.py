"""The kubelet has no connection to the DRA driver that a claim names."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dra-driver-not-registered-kubelet-bug",
    "registration",
    "the kubelet does not know the DRA driver (kubelet 1.34.0 and 1.34.1 forget drivers)",
    signs=(
        "dra driver * is not registered",
        "dra & driver * is not registered",
        "not found in the list of registered dra plugins",
        "failed to prepare dynamic resources & not registered",
        "failed to prepare dynamic resources & registered dra plugins",
        "failed to get grpc client for driver",
        "{dra} & plugin name * not found in the list of registered",
    ),
    who=("kubelet", "dra"),
    next=(
        "see that the kubelet-plugin pod of the DRA driver runs on that node and compare the kubelet"
        " version: 1.34.0 and 1.34.1 need 1.34.2 or later"
    ),
)
