"""Text of others made fit for a message: one line, bounded, no control characters, no secrets."""

from __future__ import annotations

import re

SECRETS = (
    re.compile(r"eyJ[\w-]{8,}(\.[\w-]*){1,4}"),  # a JWT: base64url of '{"'
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]+"),
    re.compile(r"(?i)(?<=basic )[A-Za-z0-9+/=]{8,}"),
    re.compile(r"-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|$)", re.S),
    re.compile(r"(?<=://)[^\s/@]+(?=@)"),  # user:password@ of a URL
    re.compile(r"(?i)(?<=token=)[^\s&\"']+|(?<=password=)[^\s&\"']+|(?<=secret=)[^\s&\"']+"),
)
HIDDEN = "[hidden]"


def clean(text: str, limit: int = 1000, secrets: tuple[str, ...] = ()) -> str:
    """`secrets` are exact values that must not come out, besides what looks like one."""
    text = text[: 8 * limit]  # before any pattern runs over it
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, HIDDEN)
    for pattern in SECRETS:
        text = pattern.sub(HIDDEN, text)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
