"""etcd, API server, controller-manager, scheduler and image registry, in the testbed's own network."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import pki
from testbed.errors import TestbedError
from testbed.settings import Settings
from testbed.space import Space, network_of, wait_for

REGISTRY = f"{pki.API_ADDRESS}:5000"
ETCD = "127.0.0.1:2379"
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"


@dataclass(frozen=True)
class ControlPlane:
    """The processes outside the nodes. `start` is of one process and returns at once; `wait` waits for the API."""

    settings: Settings

    @property
    def space(self) -> Space:
        return Space(self.settings.state, "testbed")

    @property
    def pki(self) -> Path:
        return self.settings.state / "pki"

    def start(self, name: str) -> None:
        """Start one of etcd, api, controllers, scheduler, registry; nothing when it runs."""
        if self.space.process(name) is None:
            self.space.spawn(name, getattr(self, f"_{name}")(), self.settings.files().environment())

    def stop(self, name: str) -> None:
        """SIGKILL: the API server would wait a minute for an etcd that is gone."""
        self.space.kill(name)

    def _etcd(self) -> list[str]:
        return [
            "etcd",
            f"--data-dir={self.settings.state}/etcd/data",
            f"--listen-client-urls=http://{ETCD}",
            f"--advertise-client-urls=http://{ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--max-txn-ops=100000",  # a restore is one transaction
            "--max-request-bytes=104857600",
            "--log-level=warn",
        ]

    def _api(self) -> list[str]:
        return [
            "kube-apiserver",
            f"--etcd-servers=http://{ETCD}",
            "--secure-port=443",
            "--bind-address=0.0.0.0",
            f"--advertise-address={pki.API_ADDRESS}",
            f"--tls-cert-file={self.pki}/apiserver.crt",
            f"--tls-private-key-file={self.pki}/apiserver.key",
            f"--client-ca-file={self.pki}/ca.crt",
            f"--kubelet-client-certificate={self.pki}/client-apiserver-kubelet.crt",
            f"--kubelet-client-key={self.pki}/client-apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={self.pki}/sa.pub",
            f"--service-account-signing-key-file={self.pki}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--profiling=false",
        ]

    def _controllers(self) -> list[str]:
        return [
            "kube-controller-manager",
            f"--kubeconfig={self.settings.state}/kubeconfig/controller-manager",
            f"--service-account-private-key-file={self.pki}/sa.key",
            f"--root-ca-file={self.pki}/ca.crt",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--profiling=false",
        ]

    def _scheduler(self) -> list[str]:
        return [
            "kube-scheduler",
            f"--kubeconfig={self.settings.state}/kubeconfig/scheduler",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--profiling=false",
        ]

    def _registry(self) -> list[str]:
        config = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": f"{self.settings.state}/registry/data"},
                "delete": {"enabled": True},
            },
            "http": {"addr": REGISTRY},
        }
        file = self.settings.state / "registry" / "config.yml"
        file.write_text(json.dumps(config))
        return ["docker-registry", "serve", str(file)]

    def get(self, path: str) -> tuple[int, bytes]:
        """GET on the API server as admin, from any network of this machine: status, body. OSError without an answer."""
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / "client-admin.crt", self.pki / "client-admin.key")
        with network_of(self.space.pid()):
            connection = http.client.HTTPSConnection(pki.API_ADDRESS, 443, context=context, timeout=10)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

    def object(self, path: str) -> dict[str, Any] | None:
        """An object or a list of the API, None when there is none or the API does not answer now."""
        try:
            status, body = self.get(path)
        except (OSError, http.client.HTTPException):
            return None
        return dict(json.loads(body)) if status == 200 else None

    def wait(self, seconds: float = 90.0) -> None:
        """Until the API server says it is ready; TestbedError with its last words when it ends or takes longer."""
        for _ in wait_for(f"API server ready; log: {self.settings.state}/log/testbed.api.log", seconds, 0.05):
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            for name in ("etcd", "api"):
                if self.space.process(name) is None:
                    raise TestbedError(f"{name} ended: {self.space.last_words(name)}")
