"""No nvidia-container-runtime or its hook where the runtime looks for it."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "toolkit-not-installed",
    "toolkit",
    "the NVIDIA container toolkit is not installed on that host",
    signs=(
        "could not select device driver & gpu & !cdi",
        "could not select device driver & !cdi",
        "{nvidia runtime} & executable file not found",
        "{nvidia runtime} command not found",
        "{nvidia runtime} & is not installed & !image & !chart",
        "exec & {nvidia runtime} & no such file & !usr/local/nvidia & !config.toml & !lib*.so* & !initialization",
        "{nvidia runtime} & binary not installed",
        "unit nvidia-container-toolkit* could not be found",
        "no package nvidia-container-toolkit* available",
        "unable to locate package nvidia-container-toolkit*",
        "unable to find a match nvidia-container-toolkit*",
    ),
    because=("docker-snap-confinement",),
    next=(
        "install nvidia-container-toolkit on that host, run `nvidia-ctk runtime configure "
        "--runtime=<docker|containerd|crio>`, restart the runtime"
    ),
)
