"""Without one the driver slows down and, after its grace period, restricts the GPU."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "vgpu-unlicensed",
    "monitoring",
    "the vGPU guest has no licence",
    signs=(
        "license status unlicensed",
        "vgpu & unlicensed",
        "unlicensed",
        "unlicensed restricted",
        "unlicensed unrestricted",
        "failed to acquire license",
        "failed to acquire license from",
        "failed to renew license",
        "valid grid license not found",
        "nvidia-gridd* & license & {failing}",
        "gridd & {failing}",
        "vgpu & license & {failing}",
        "{vgpu} & {license} & {expired}",
        "client configuration token & {absent}",
        "license state unlicensed",
        "no license & vgpu",
        "failed to load client configuration token*",
        "license request & {failing}",
        "unable to obtain license",
        "license was not acquired",
    ),
    because=("vgpu-gridd-service-missing", "clock-skew"),
    next=(
        "give the guest its client configuration token and FeatureType in gridd.conf (operator:"
        " driver.licensingConfig), then read `journalctl -u nvidia-gridd`"
    ),
)
