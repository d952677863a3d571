"""cdn.redhat.com answers 403 or 404: the certificate expired, or was issued before the repository was part of it."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "entitlement-expired-or-outdated",
    "kernel driver",
    "the RHEL entitlement is there and does not serve these repositories",
    signs=(
        "status code 403 & *redhat.com*",
        "status code 404 & *redhat.com*",
        "403 forbidden & *redhat.com*",
        "*redhat.com* & 403",
        "{entitlement} & {expired}",
        "{metadata unread} & rhel-* & 403",
        "*cdn.redhat.com* & {denied}",
        "{metadata unread} & rhocp-*",
    ),
    next=(
        "check the certificate (openssl x509 -in entitlement.pem -noout -dates; rct cat-cert"
        " entitlement.pem), fetch a fresh one that lists these repositories and deploy it again"
    ),
)
