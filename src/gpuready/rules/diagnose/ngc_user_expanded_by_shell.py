"""The user name of NGC is the word $oauthtoken itself; an unquoted one reaches the server empty."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "ngc-user-expanded-by-shell",
    "install",
    "NGC refuses the login: $oauthtoken was expanded by the shell, or the key is wrong",
    signs=(
        "username=$oauthtoken",
        'username="$oauthtoken"',
        "must provide username with password-stdin",
        "either from-file or the combination of docker-username",
        (
            "helm.ngc.nvidia.com/* & index.yaml & {unauthorized} & !helm.ngc.nvidia.com/index.yaml &"
            " !helm.ngc.nvidia.com/nvidia/index.yaml"
        ),
        "helm.ngc.nvidia.com/* & .tgz & {unauthorized}",
        "failed to fetch https://helm.ngc.nvidia.com/*.tgz & {unauthorized}",
        "get https://nvcr.io/v2/ & {unauthorized} & !manifests & !failed to pull & !failed to authorize & !pinging",
        (
            "get https://nvcr.io/v2/ & unauthorized authentication required & !manifests & !failed to pull &"
            " !failed to authorize & !pinging"
        ),
        "logging into nvcr.io & {failing}",
        "login attempt to https://nvcr.io/v2/ & {failing}",
        "nvcr.io & username required",
    ),
    next=(
        "put the user name in single quotes so that the shell leaves it alone, as it is: '$oauthtoken'; the"
        " password is the NGC API key"
    ),
)
