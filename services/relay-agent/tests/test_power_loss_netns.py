"""A relay that loses its power is back with its plain WireGuard clients at once: it speaks to them first."""

from __future__ import annotations

import base64
import subprocess
import time

import pytest
from altnet.common.kernel.wireguard import Endpoint
from altnet.relay_agent.disk_state import DiskState
from support.netns import Namespace, NamespaceFactory
from support.overlay import Net, eventually, overlay
from support.relays import PLAN, client, document, identity_of, key_of

pytestmark = [pytest.mark.netns, pytest.mark.slow]

HOME = PLAN.client_prefix(1)[500]


def plain_client(net: Net) -> Namespace:
    """A host with what wg-quick would make of the registry's file, but for the keepalive: it never speaks by itself."""
    host = net.make("client-plain")
    net.attach(host, "plain", "fd00:98::88")
    subprocess.run([*host.wireguard_go, "wg0"], check=True, capture_output=True, timeout=20)
    key_file = host.sockets / "key"
    key_file.write_text(base64.b64encode(key_of("x", "client").reveal()).decode())
    configure = [*host.wg, "set", "wg0", "private-key", str(key_file), "peer", key_of("a", "access").public().base64]
    configure += ["endpoint", "[fd00:98::1]:51830", "allowed-ips", "fd42:1337:beef::/48"]
    subprocess.run(configure, check=True, capture_output=True, timeout=20)
    host.run("ip", "link", "set", "wg0", "up", "mtu", "1280")
    host.run("ip", "addr", "add", f"{HOME}/128", "dev", "wg0", "nodad")
    host.run("ip", "-6", "route", "add", "fd42:1337:beef::/48", "dev", "wg0", "src", str(HOME))
    return host


def handshake(host: Namespace) -> int:
    """Unix time of the client's last handshake, in seconds; 0 before the first."""
    show = [*host.wg, "show", "wg0", "latest-handshakes"]
    return int(subprocess.run(show, check=True, capture_output=True, text=True, timeout=20).stdout.split()[1])


def test_after_a_power_loss_a_relay_speaks_first_to_a_client_that_says_nothing(
    netns_factory: NamespaceFactory,
) -> None:
    with overlay(netns_factory) as net:
        a = net.relay("a", 1)
        a.write(net.paper, document("a", clients=(client("x", f"{HOME}/128"),)))
        a.run(ALTNET_AGENT_TIMERS__ENDPOINTS_KEPT="0.3")
        eventually(a.settled, "a did not settle")
        host = plain_client(net)

        def answered() -> bool:
            ping = [*host.command, "ping", "-6", "-n", "-c", "1", "-W", "1", str(PLAN.access_address(1))]
            return subprocess.run(ping, check=False, capture_output=True).returncode == 0

        eventually(answered, "the client does not reach its relay")
        state = DiskState(a.state_dir, make=lambda: identity_of("a"))
        key = key_of("x", "client").public().base64
        eventually(lambda: key in state.clients().endpoints, "the client's endpoint is not remembered")
        assert str(Endpoint.parse(state.clients().endpoints[key]).address) == "fd00:98::88"

        a.lose_power()
        first = handshake(host)
        eventually(lambda: int(time.time()) > first, "handshakes are told in whole seconds")
        net.attach(a.namespace, "a2", "fd00:98::1")
        a.run()
        eventually(a.settled, "a did not come back")
        took = eventually(lambda: handshake(host) > first, "the relay did not speak first", within=4.0)
        print(f"a new session {took:.2f} s after the agent had settled, and not a word from the client")
        assert answered()
