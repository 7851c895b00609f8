"""A client's tunnel in the lab: real WireGuard from behind a home router, made of a wg-quick file."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from altnet.common.errors import Unavailable
from altnet.common.keys import PrivateKey
from altnet.host.lab import commands, launcher, namespaces, tunnel
from altnet.host.lab.lab import Lab, Target
from altnet.host.lab.settings import LabSettings
from altnet.host.lab.state import Tunnel
from altnet.host.lab.topology import Spec

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: tunnels of the lab need root"),
]

PREFIX = f"tt{os.getpid() % 100_000}"
ENV = {"PATH": os.environ["PATH"], "LOG_LEVEL": "error"}
SERVER, CLIENT = "fd42:1337:beef::1", "fd42:1337:beef:1001::7"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab whose relay1 is a plain WireGuard server, and a file for client1 to reach it."""
    lab = Lab(LabSettings(prefix=PREFIX, run_dir=str(tmp_path / "run"), api_port=0))
    try:
        lab.up(Spec(prefix=PREFIX, relays=1, clients=1), network_only=True)
        keys = [PrivateKey.generate(), PrivateKey.generate()]
        _serve(lab, keys[0], keys[1])
        config = lab.files.host("client1") / "alt0.conf"
        config.write_text(_client_file(lab, keys[1], keys[0]))
        yield lab
    finally:
        lab.down()
        assert namespaces.of_lab(PREFIX) == set()


def test_a_client_behind_a_home_router_reaches_the_server_through_its_tunnel(lab: Lab) -> None:
    _bring_up(lab)

    assert _ping(lab)
    assert _interface_mtu(lab) == "1280"


def test_bringing_up_a_tunnel_that_is_up_keeps_its_session(lab: Lab) -> None:
    _bring_up(lab)
    assert _ping(lab)
    before = _shown(lab, "latest-handshakes"), _shown(lab, "listen-port")

    _bring_up(lab)

    assert before[0] != "0"
    assert (_shown(lab, "latest-handshakes"), _shown(lab, "listen-port")) == before
    assert _ping(lab)


def test_a_tunnel_that_somebody_changed_is_set_right(lab: Lab) -> None:
    _bring_up(lab)
    peer = _shown(lab, "peers")
    change = ["wg", "set", "alt0", "peer", peer, "remove"]
    commands.run(lab.exec_argv("client1", change), timeout=5)

    _bring_up(lab)

    assert _shown(lab, "peers") == peer
    assert _ping(lab)


def test_a_killed_tunnel_is_healed_with_its_host(lab: Lab) -> None:
    made = Tunnel(host="client1", config="client1/alt0.conf", client="cli_1")
    lab.files.write(msgspec.structs.replace(lab._state(), tunnels=(made,)))
    lab.heal(["client1"])
    assert _ping(lab)

    lab.kill("client1", Target.WIREGUARD)
    lab.heal(["client1"])
    after_process = _ping(lab)
    lab.kill("client1")
    lab.heal(["client1"])

    assert after_process
    assert _ping(lab)


def test_a_wireguard_that_cannot_start_says_why(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "wireguard-go").write_text("#!/bin/sh\necho no luck today; exit 1\n")
    (tmp_path / "wireguard-go").chmod(0o755)
    env = ENV | {"PATH": f"{tmp_path}:{ENV['PATH']}"}

    with pytest.raises(Unavailable, match="no luck today"):
        _bring_up(lab, env)


def _serve(lab: Lab, key: PrivateKey, client: PrivateKey) -> None:
    host = lab.topology().host("relay1")
    with lab.files.locked() as lock:
        launcher.start(host, "wg", ["wireguard-go", "-f", "wgs"], files=lab.files, lock=lock, env=ENV)
    _until(lambda: (lab.files.wireguard("relay1") / "wgs.sock").exists())
    config = (
        f"[Interface]\nPrivateKey = {_text(key)}\nListenPort = 51830\n"
        f"[Peer]\nPublicKey = {client.public()}\nAllowedIPs = {CLIENT}/128\n"
    )
    argv = lab.exec_argv("relay1", ["wg", "setconf", "wgs", "/dev/stdin"])
    commands.run(argv, stdin=config, timeout=5)
    lines = ["link set wgs up", f"address add {SERVER}/128 dev wgs nodad", f"route add {CLIENT}/128 dev wgs"]
    commands.ip_batch(lines, namespace=host.namespace, timeout=5)


def _client_file(lab: Lab, key: PrivateKey, server: PrivateKey) -> str:
    return (
        f"[Interface]\nPrivateKey = {_text(key)}\nAddress = {CLIENT}/128\nDNS = {SERVER}, alt\nMTU = 1280\n\n"
        f"[Peer]\nPublicKey = {server.public()}\nEndpoint = [{lab.topology().address('relay1')}]:51830\n"
        f"AllowedIPs = fd42:1337:beef::/48\nPersistentKeepalive = 25\n"
    )


def _bring_up(lab: Lab, env: Mapping[str, str] = ENV) -> None:
    config = lab.files.host("client1") / "alt0.conf"
    with lab.files.locked() as lock:
        tunnel.bring_up(lab.topology().host("client1"), config, files=lab.files, lock=lock, env=env)


def _ping(lab: Lab) -> bool:
    argv = ["ping", "-6", "-c", "1", "-W", "5", SERVER]
    return commands.run(argv, timeout=20, namespace=f"{PREFIX}-client1", check=False).returncode == 0


def _shown(lab: Lab, what: str) -> str:
    argv = lab.exec_argv("client1", ["wg", "show", "alt0", what])
    return commands.run(argv, timeout=5).stdout.split()[-1]


def _interface_mtu(lab: Lab) -> str:
    words = commands.run(["ip", "-o", "-n", f"{PREFIX}-client1", "link", "show", "alt0"], timeout=5).stdout.split()
    return words[words.index("mtu") + 1]


def _text(key: PrivateKey) -> str:
    return base64.b64encode(key.reveal()).decode()


def _until(condition: object, timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]  # a test helper takes any callable
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)
