"""The driver container downloads headers and tools; without its mirrors it cannot build."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "package-mirror-unreachable",
    "node",
    "the package mirrors cannot be reached, so the driver cannot be built",
    signs=(
        "{metadata unread} & !*redhat.com* & !{untrusted} & !{early} & !{chart repository} & !{pulling}",
        "{metadata unread} & {unresolved}",
        "{metadata unread} & {timeout}",
        "{metadata unread} & {refused}",
        "failed to fetch & {unresolved}",
        "failed to fetch & {timeout} & {package mirror}",
        "failed to fetch & {refused} & {package mirror}",
        "failed to fetch & 403 forbidden & !{chart repository} & !{pulling}",
        "{package mirror} & {timeout} & !{chart repository} & !{pulling}",
        "{package mirror} & {unresolved} & !{chart repository} & !{pulling}",
        "{package mirror} & {refused} & !{chart repository} & !{pulling}",
        "curl error 6",
        "curl error 7",
        "curl error 28",
        "failed to reach rhel package repositories",
        "failed to update package cache",
        "some index files failed to download",
        "could not connect to *:80",
        "could not connect to *:443 & ip",
        "status code 403 for http* & !*redhat.com*",
        "403 forbidden ip",
        "cannot initiate the connection to",
        "failed to update the dnf metadata cache",
        "unable to connect to * http",
        "could not resolve *.ubuntu.com",
        "temporary failure resolving",
        "cannot find a valid baseurl for repo",
    ),
    who=("driver", "runtime", "toolkit"),
    next=(
        "from a pod on that node try the mirror that is named (curl -v), then open egress, set HTTP_PROXY,"
        " HTTPS_PROXY and NO_PROXY in driver.env, or name an own mirror in driver.repoConfig.configMapName"
    ),
    because=("proxy-certificate-untrusted", "proxy-misconfigured", "entitlement-expired-or-outdated"),
)
