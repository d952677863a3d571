"""gpuready as a user runs it: the installed command, in a folder of its own, under a kubeconfig of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from testbed import Testbed

GPUREADY = str(Path(sys.executable).with_name("gpuready"))


@dataclass
class Gpuready:
    """`run("up", "--yes")` as this user; `folder` is where gpuready.yaml appears."""

    testbed: Testbed
    folder: Path
    image: str
    kubeconfig: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *args: str, timeout: float = 180, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [GPUREADY, *args],
            cwd=self.folder,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return done

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "GPUREADY_IMAGE": self.image,
            "XDG_STATE_HOME": str(self.folder / "state"),
            "NO_COLOR": "1",
            "COLUMNS": "120",
            **self.env,
        }

    def ok(self, *args: str) -> str:
        done = self.run(*args)
        assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def grant(self, user: str, *verbs: str) -> Gpuready:
        """The same command as another user, who has exactly what `gpuready rbac VERB` prints."""
        for verb in verbs:
            rules = self.ok("rbac", verb, "--user", user)
            done = self.testbed.run(
                ["kubectl", "apply", "--server-side", "-f", "-"], input=rules, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        return Gpuready(self.testbed, self.folder, self.image, self.testbed.kubeconfig_for(user), self.env)


def json_of(text: str) -> object:
    return msgspec.json.decode(text)
