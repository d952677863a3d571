"""No secret given in a spec, an object or a message comes out of plan, report or journal."""

from __future__ import annotations

import pytest

from gpuready.cli.main import run

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"
TOKEN = "nvapi-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"


@pytest.mark.parametrize("secret", [KEY.splitlines()[1], TOKEN], ids=["a private key", "an NGC key"])
@pytest.mark.parametrize(
    "args",
    [
        ["plan", "--context", "{}"],
        ["plan", "-f", "{}"],
        ["plan", "--kubeconfig", "{}"],
        ["apply", "{}"],
        ["rbac", "{}"],
        ["up", "--timeout", "{}"],
        ["up", "--image", "{}"],
    ],
    ids=lambda args: " ".join(args),
)
def test_a_secret_in_a_wrong_place_does_not_come_out(
    args: list[str], secret: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    """People paste keys into the wrong option; the refusal must not repeat them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    whole = KEY if secret in KEY else secret
    assert run([a.format(whole) for a in args]) == 1
    out, err = capfd.readouterr()
    assert secret not in out + err
