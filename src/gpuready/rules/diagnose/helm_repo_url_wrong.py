"""The address lacks the organisation, points where no index.yaml lies, or helm does not know the name."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "helm-repo-url-wrong",
    "install",
    "the chart repository is written wrong, or was never added",
    signs=(
        "https://helm.ngc.nvidia.com/index.yaml & index.yaml",
        "index.yaml & 404 not found",
        "installation failed repo * not found",
        "error repo * not found",
        "error no repositories configured",
        "error no repositories found",
        "failed to download nvidia/* & !index.yaml & !tgz",
        "does not appear to be a valid chart repository",
        "chart * not found in * index",
        "chart * matching * not found in * index",
        "no chart version found for",
        "non-absolute urls should be in form of repo_name/path_to_chart",
        "chart * not found in https*",
    ),
    next=(
        "add it as documented: helm repo add nvidia https://helm.ngc.nvidia.com/nvidia --force-update, then"
        " helm repo update; check the chart name with helm search repo nvidia --versions"
    ),
)
