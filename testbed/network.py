"""The testbed's network: a bridge with the control plane's addresses, one veth per node, routes to the nodes' pods.

192.0.2.0/24 is TEST-NET-1 (RFC 5737): nothing real answers there should a command ever run outside this network.
"""

import subprocess
from collections.abc import Mapping

from testbed.errors import TestbedError
from testbed.pki import API_ADDRESS, SERVICE_ADDRESS
from testbed.space import Space

BRIDGE = "node0"


def node_address(number: int) -> str:
    return f"192.0.2.{10 + number}"


def pod_range(number: int) -> str:
    return f"10.244.{number}.0/24"


def _ip(space: Space, env: Mapping[str, str], commands: str) -> None:
    """Run commands of ip(8) in a space's network, with the machine's own files and pids."""
    done = subprocess.run(
        [*space.enter(only=["-n"]), "ip", "-batch", "-"], input=commands, env=env, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise TestbedError(f"{space.name}: cannot set up its network: {done.stderr.strip()}")


def _forward(space: Space, env: Mapping[str, str]) -> None:
    argv = [*space.enter(only=["-n"]), "/bin/sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
    subprocess.run(argv, env=env, check=True)


def connect_control_plane(space: Space, env: Mapping[str, str]) -> None:
    """The bridge. It has the API's service address, so pods reach the API without kube-proxy."""
    _ip(
        space,
        env,
        f"link set lo up\nlink add {BRIDGE} type bridge\nlink set {BRIDGE} up\n"
        f"addr add {API_ADDRESS}/24 dev {BRIDGE}\naddr add {SERVICE_ADDRESS}/32 dev {BRIDGE}\n",
    )
    _forward(space, env)


def connect_node(control: Space, node: Space, number: int, env: Mapping[str, str]) -> None:
    """A veth between the bridge and the node's eth0, its address and default route, and the route to its pods."""
    _ip(
        control,
        env,
        f"link add veth{number} type veth peer name eth0 netns {node.pid()}\n"
        f"link set veth{number} master {BRIDGE} up\n"
        f"route replace {pod_range(number)} via {node_address(number)} dev {BRIDGE}\n",
    )
    _ip(
        node,
        env,
        f"link set lo up\nlink set eth0 up\naddr add {node_address(number)}/24 dev eth0\n"
        f"route add default via {API_ADDRESS}\n",
    )
    _forward(node, env)


def set_cable(control: Space, number: int, env: Mapping[str, str], *, plugged: bool) -> None:
    """Pull or plug a node's network cable."""
    _ip(control, env, f"link set veth{number} {'up' if plugged else 'down'}\n")


def disconnect_node(control: Space, number: int, env: Mapping[str, str]) -> None:
    """Remove what is left of a dead node's cable and routes."""
    argv = [*control.enter(only=["-n"]), "ip", "link", "delete", f"veth{number}"]
    subprocess.run(argv, env=env, capture_output=True, check=False)  # usually gone with the node's namespace already
