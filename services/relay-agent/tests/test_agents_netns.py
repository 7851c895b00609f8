"""Real agents on real WireGuard in network namespaces, with documents in their caches and no control plane at all."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
import time
from typing import Any

import msgspec
import pytest
from altnet.common.kernel.links import ROUTE_PROTOCOL
from altnet.common.net import link_mac, link_number
from support.netns import Namespace
from support.prober import Prober, Spot
from support.relays import PLAN, client, document, key_of
from support.sites import Relay, Site, empty, eventually

pytestmark = [pytest.mark.netns, pytest.mark.slow]


def test_three_agents_form_links_from_their_caches_and_carry_packets(site: Site) -> None:
    for slot, name in enumerate("abc", 1):
        site.add(name, slot)
    site.start()
    took = eventually(site.all_reach, "not everybody reaches everybody")
    print(f"everybody reaches everybody {took:.2f} s after the last agent settled")

    a = site.relays["a"]
    assert a.reaches(str(PLAN.access_address(2))), "the /64 of another relay's clients is routed"
    assert not a.reaches(str(PLAN.relay_address(9))), "nobody has that address, and the default route is not asked"

    def measured() -> bool:
        status = a.status()
        links = status.links if status else ()
        return len(links) == 2 and all(link.up and link.rtt and link.loss == 0 for link in links)

    eventually(measured, "probes measure both links")
    code, said = a.ask("status")
    assert (code, said["health"], said["running"]) == (0, "ok", True)
    assert a.ask("plan") == (0, [])
    big = str(1420 - 70 - 48)
    before = carried(a, "b")
    assert a.reaches(site.relays["b"].address, "-M", "do", "-s", big), "the link carries its full MTU"
    grown = [now - then for now, then in zip(carried(a, "b"), before, strict=True)]
    assert min(grown) >= int(big), "received and sent count what was carried"


def test_an_agent_that_is_killed_and_comes_back_loses_no_packet(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    with Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as prober:
        a.kill(signal.SIGKILL)
        time.sleep(0.5)
        assert a.ask("status")[0] == 3
        a.start()
        eventually(a.settled, "a did not come back")
        b.kill(signal.SIGTERM)
        b.start()
        eventually(b.settled, "b did not come back")
        verdict = prober.finish()
    assert verdict.lost == 0, verdict


def test_a_host_that_was_rebooted_is_back_from_its_cache(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    a.kill()
    empty(a.namespace)
    assert not b.reaches(a.address)
    site.attach(a.namespace, "a", "fd00:99::1")
    began = time.monotonic()
    a.start()
    eventually(lambda: b.reaches(a.address) and a.reaches(b.address), "a did not come back")
    print(f"back {time.monotonic() - began:.2f} s after the start of the agent, interpreter included")


def test_down_removes_what_is_the_agents_and_nothing_of_the_operators(site: Site) -> None:
    a, _ = site.add("a", 1), site.add("b", 2)
    inside = a.namespace.run
    inside("ip", "link", "add", "altlan0", "type", "bridge")
    inside("ip", "link", "set", "altlan0", "up")
    inside("ip", "addr", "add", "fd00:77::1/64", "dev", "altlan0", "nodad")
    inside("ip", "-6", "route", "add", "fd00:78::/64", "dev", "altlan0")
    inside("ip", "-6", "route", "add", "fd42:1337:beef:9999::/64", "dev", "altlan0", "metric", "100")
    inside("ip", "addr", "add", "fd00:79::1/128", "dev", "lo", "nodad")
    inside("nft", "add table inet mine; add chain inet mine c; add rule inet mine c counter")
    before = everything(a.namespace)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    assert "altl2" in inside("ip", "link")
    assert inside("ip", "-6", "route", "show", "proto", str(ROUTE_PROTOCOL)).strip()

    code, said = a.ask("down")
    assert code == 2, "not while the agent runs"
    assert said["error"]["code"] == "agent_running"
    a.kill(signal.SIGTERM)
    code, said = a.ask("down")
    assert (code, said["failed"]) == (0, [])

    after = everything(a.namespace)
    for what, had in before.items():
        assert after[what] == had, what
    code, operations = a.ask("plan")
    assert code == 5
    assert {operation["do"] for operation in operations} == {"add"}
    assert a.ask("down") == (0, {"removed": [], "failed": []}), "twice is once"


def carried(relay: Relay, neighbour: str) -> tuple[int, int]:
    """Bytes received and sent over one link, as the relay's heartbeat would say it now."""
    status = relay.status()
    assert status is not None
    (link,) = [link for link in status.links if link.neighbour == f"rly_{neighbour}"]
    return link.received, link.sent


def everything(namespace: Namespace) -> dict[str, Any]:
    """Links, addresses, routes, rules and settings of a host."""
    addresses = json.loads(namespace.run("ip", "-j", "addr"))
    return {
        "links": sorted(link["ifname"] for link in addresses),
        "addresses": sorted(
            (link["ifname"], one["local"], one["prefixlen"]) for link in addresses for one in link["addr_info"]
        ),
        "routes": sorted(namespace.run("ip", "-6", "route", "show", "table", "main").splitlines()),
        "nft": namespace.run("nft", "list", "ruleset"),
        "forwarding": namespace.run("sysctl", "-n", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.accept_ra"),
    }


def test_frames_from_outside_do_not_enter_a_link_and_clients_cannot_lie_about_themselves(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    mine = str(PLAN.client_prefix(1)[5])
    site.start(a=document("a", clients=(client("x", f"{mine}/128"),)))
    eventually(site.all_reach, "a and b do not reach each other")

    # A host on the underlay that knows everything but the keys sends the very frame that b would.
    outside = site.make("outside")
    site.attach(outside, "out", "fd00:99::66")
    before = dropped(a.namespace, "local")
    with outside.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(vxlan_ping(link_number(1, 2)), ("fd00:99::1", 51899))
    eventually(lambda: dropped(a.namespace, "local") == before + 1, "the frame was not dropped")

    # A client of a, with its key and its address.
    host = site.make("client")
    site.attach(host, "cli", "fd00:99::77")
    attach_client(host, "x", mine, key_of("a", "access").public().base64)
    here = Relay("client", 0, host, site.directory)
    eventually(lambda: here.reaches(b.address), "the client does not reach b through a")
    assert here.reaches(str(PLAN.access_address(2)))
    assert not here.reaches(str(PLAN.locator(2))), "locators are not for clients"

    host.run("ip", "addr", "add", "fd42:1337:beef:1001::99/128", "dev", "wg0", "nodad")
    assert not here.reaches(b.address, "-I", "fd42:1337:beef:1001::99"), "another client's address is refused"

    # An underlay host that claims a source inside the network.
    outside.run("ip", "addr", "add", "fd42:1337:beef:1001::5/128", "dev", "lo", "nodad")
    outside.run("ip", "-6", "route", "add", "fd42:1337:beef::/48", "via", "fd00:99::1")
    before = dropped(a.namespace, "arrive")
    liar = Relay("outside", 0, outside, site.directory)
    assert not liar.reaches(b.address, "-I", "fd42:1337:beef:1001::5")
    assert dropped(a.namespace, "arrive") > before


def test_a_neighbour_cannot_put_frames_into_the_link_to_another(site: Site) -> None:
    a, b, _ = (site.add(name, slot) for slot, name in enumerate("abc", 1))
    site.start()
    eventually(site.all_reach, "the three do not reach each other")
    from_c = vxlan_ping(link_number(1, 3), sender=3)
    with a.namespace.entered():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        wire.bind(("altl3", 0))
    with wire, b.namespace.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        wire.setblocking(False)
        sock.bind((str(PLAN.locator(2)), 0))
        target = (str(PLAN.locator(1)), 51899)

        def came_out(frame: bytes) -> bool:
            """Whether the frame is among what has come out of a's link to c by now."""
            seen = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    seen.append(wire.recv(2048))
            return frame[8:] in seen

        before = dropped(a.namespace, "from_locator")
        sock.sendto(from_c, target)
        eventually(lambda: dropped(a.namespace, "from_locator") == before + 1, "b's word for c is not dropped")
        assert not came_out(from_c), "b spoke for c"
        sock.sendto(vxlan_ping(link_number(1, 2)), target)
        sock.sendto(b"short", target)
        eventually(lambda: dropped(a.namespace, "from_locator") == before + 2, "what has no identifier is not dropped")
        assert site.all_reach()

        # The same frame with the guard out of the way: it is the guard that keeps it out, and nothing else.
        a.namespace.run("nft", "insert rule inet altnet from_locator accept")
        sock.sendto(from_c, target)
        eventually(lambda: came_out(from_c), "the test's own frame would not have come through")


def attach_client(host: Namespace, name: str, address: str, relay_key: str) -> None:
    subprocess.run([*host.wireguard_go, "wg0"], check=True, capture_output=True, timeout=20)
    key_file = host.sockets / "key"
    key_file.write_text(base64.b64encode(key_of(name, "client").reveal()).decode())
    configure = [*host.wg, "set", "wg0", "private-key", str(key_file), "peer", relay_key]
    configure += ["endpoint", "[fd00:99::1]:51830", "allowed-ips", "fd42:1337:beef::/48"]
    subprocess.run(configure, check=True, capture_output=True, timeout=20)
    host.run("ip", "link", "set", "wg0", "up", "mtu", "1280")
    host.run("ip", "addr", "add", f"{address}/128", "dev", "wg0", "nodad")
    host.run("ip", "-6", "route", "add", "fd42:1337:beef::/48", "dev", "wg0", "src", address)


def dropped(namespace: Namespace, chain: str) -> int:
    """Packets that the first counting drop rules of a chain have met."""
    listed = namespace.run("nft", "list", "chain", "inet", "altnet", chain)
    return sum(int(number) for number in re.findall(r"counter packets (\d+) bytes \d+ drop", listed))


def vxlan_ping(number: int, *, sender: int = 2) -> bytes:
    """An Ethernet frame with an ICMPv6 echo request from the relay with slot `sender` to a, in VXLAN."""
    mac = bytes.fromhex(link_mac(1).replace(":", "")) + bytes.fromhex(link_mac(sender).replace(":", ""))
    source, target = PLAN.relay_address(sender).packed, PLAN.relay_address(1).packed
    echo = struct.pack("!BBHHH", 128, 0, 0, 1, 1)
    header = struct.pack("!IHBB", 6 << 28, len(echo), 58, 64) + source + target
    return struct.pack("!II", 0x08000000, number << 8) + mac + b"\x86\xdd" + header + echo


def test_a_changed_document_in_the_cache_is_what_the_next_start_follows(site: Site) -> None:
    a, b = site.add("a", 1), site.add("b", 2)
    site.start()
    eventually(site.all_reach, "a and b do not reach each other")
    a.kill(signal.SIGTERM)
    a.write(site.paper, msgspec.structs.replace(document("a", 2), links=()))
    a.start()
    eventually(a.settled, "a did not settle")
    assert "altl2" not in a.namespace.run("ip", "link")
    assert not b.reaches(a.address)
