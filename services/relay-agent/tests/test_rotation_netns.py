"""All mesh keys are replaced under traffic on the kernel's WireGuard: `make soak`, two minutes where it is emulated.

The paper is the registry's and keyd's part: it names each host's next key and gives the stages, and every agent is
killed and started again to read it, so each stage is also a crash. What this leaves out: the bus, and who decides on
stages (tests/netns/test_key_rotation.py).
"""

from __future__ import annotations

import json

import msgspec
import pytest
from altnet.common.contracts.desired import KeyStage, NextKey
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.state import Identity
from support.prober import Prober, Spot
from support.relays import PLAN, document, identity_of, relay_id
from support.sites import Relay, Site, eventually

pytestmark = [pytest.mark.netns, pytest.mark.kernel_wg, pytest.mark.slow, pytest.mark.soak]

EPOCH = 1


def identity(relay: Relay) -> Identity:
    state = DiskState(relay.state_dir, make=lambda: identity_of(relay.name))
    state.open()
    return state.identity()


def order(site: Site, stage: KeyStage) -> None:
    """Everybody's next key at this stage, as keyd would have the registry write it."""
    for name, relay in site.relays.items():
        following = identity(relay).next_mesh
        key = following.public().base64 if following is not None else ""
        entry = site.paper.relays[relay_id(name)]
        site.paper.put(
            msgspec.structs.replace(entry, next=NextKey(epoch=EPOCH, stage=stage, key=key, port=51821 if key else 0))
        )
    tell(site)


def keep(site: Site) -> None:
    for entry in list(site.paper.relays.values()):
        assert entry.next is not None
        site.paper.put(msgspec.structs.replace(entry, key=entry.next.key, epoch=EPOCH, port=entry.next.port, next=None))
    tell(site)


def tell(site: Site) -> None:
    for relay in site.relays.values():
        relay.kill()
        relay.write(site.paper, document(relay.name))
        relay.start()
    for relay in site.relays.values():
        eventually(relay.settled, f"{relay.name} did not settle")


def devices(relay: Relay) -> set[str]:
    links = json.loads(relay.namespace.run("ip", "-j", "link"))
    return {link["ifname"] for link in links if link["ifname"].startswith("altm")}


def ways(relay: Relay) -> set[str]:
    """The mesh devices that the other relays' locators are routed by."""
    routes = json.loads(relay.namespace.run("ip", "-6", "-j", "route"))
    locators = {str(PLAN.locator(slot)) for slot in (1, 2, 3)}
    return {route["dev"] for route in routes if route["dst"].removesuffix("/128") in locators} - {"lo"}


@pytest.mark.timeout(400)
def test_all_mesh_keys_are_replaced_with_a_crash_at_each_stage_and_no_packet_is_lost(site: Site) -> None:
    for slot, name in enumerate("abc", 1):
        site.add(name, slot)
    site.start()
    eventually(site.all_reach, "not everybody reaches everybody")
    a, b, c = site.relays.values()
    before = {name: identity(relay) for name, relay in site.relays.items()}

    with (
        Prober(Spot(a.namespace, a.address), Spot(b.namespace, b.address), interval=0.01) as one,
        Prober(Spot(c.namespace, c.address), Spot(a.namespace, a.address), interval=0.01, port=7778) as other,
    ):
        order(site, KeyStage.ASKED)
        order(site, KeyStage.READY)
        assert [devices(relay) for relay in (a, b, c)] == [{"altm0", "altm1"}] * 3
        assert [ways(relay) for relay in (a, b, c)] == [{"altm0"}] * 3, "before it is open nobody changes over"
        order(site, KeyStage.OPEN)
        eventually(lambda: all(ways(relay) == {"altm1"} for relay in (a, b, c)), "not all go by the next keys")
        keep(site)
        eventually(lambda: all(devices(relay) == {"altm1"} for relay in (a, b, c)), "the old devices are still there")
        verdicts = [one.finish(), other.finish()]
    assert [verdict.lost for verdict in verdicts] == [0, 0], verdicts
    assert all(verdict.forward.sent > 100 for verdict in verdicts), verdicts

    for name, relay in site.relays.items():
        after = identity(relay)
        assert after.mesh_key != before[name].mesh_key
        assert before[name].mesh_key not in (relay.state_dir / "identity.json").read_text()
    assert site.all_reach()
