"""What a relay that was taken over can do to others by lying about paths, and what not: BIRDs as rendered, no agents.

It pins a limit: who ends a path is proven, who is on the way is believed. c owns what is fought for; a hears of it from
c itself and from b, the liar.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
from altnet.common.net import asn
from altnet.relay_agent.bird.config import LONGEST_PATH, render
from altnet.relay_agent.bird.pieces import RoutingHost, RoutingRelay, relay_key
from support.netns import Namespace, NamespaceFactory
from support.relays import PREFIX
from support.sites import eventually

pytestmark = pytest.mark.netns

A, B, C = 1, 2, 3
TABLE = 42186
CLIENTS, CLIENT, ITSELF = "fd42:1337:beef:1003::/64", "fd42:1337:beef:1003::9/128", "fd42:1337:beef::3/128"
SITE, LAST = "fd77:5::/48", "fd42:1337:beef::2/128"
RIGHTS = {
    A: RoutingRelay(slot=A, session=True),
    B: RoutingRelay(slot=B, session=True),
    C: RoutingRelay(slot=C, session=True, origins=(ip_network(SITE),), endpoints=(ip_network("2001:db8::3")[0],)),
}


@dataclass(frozen=True)
class Bird:
    """One relay's BIRD."""

    namespace: Namespace
    control: Path

    def ask(self, what: str) -> str:
        done = subprocess.run(
            [*self.namespace.command, "birdc", "-s", str(self.control), what],
            check=False,
            capture_output=True,
            text=True,
            timeout=10,
        )
        return done.stdout

    def ways(self, prefix: str) -> list[list[int]]:
        """The paths of the routes to exactly this prefix, the best one first."""
        said = (
            self.ask(f"show route for {prefix} all")
            if prefix.endswith("/128")
            else self.ask(f"show route {prefix} all")
        )
        if not re.search(rf"^{re.escape(prefix)}\s", said, re.MULTILINE):
            return []
        return [[int(one) for one in path.split()] for path in re.findall(r"BGP\.as_path: ([\d ]*)", said)]


@contextmanager
def running(namespace: Namespace, directory: Path, slot: int, text: str) -> Iterator[Bird]:
    config, control = directory / f"{slot}.conf", directory / f"{slot}.ctl"
    config.write_text(text)
    files = ["-c", str(config), "-s", str(control), "-P", str(directory / f"{slot}.pid")]
    process = subprocess.Popen([*namespace.command, "bird", "-f", *files])
    try:
        yield Bird(namespace, control)
    finally:
        process.terminate()
        process.wait(10)


def rendered(slot: int, others: tuple[int, ...], costs: dict[int, int] | None = None) -> str:
    host = RoutingHost(
        slot=slot, network=PREFIX, links="altl", table=TABLE, bfd_interval=0.3, bfd_multiplier=5, restart_time=10
    )
    relays = {relay_key(str(one)): RIGHTS[one] for one in others}
    return render(host, relays=dict(relays), costs=costs).text


def lying(text: str, said: dict[str, list[int]]) -> str:
    """A relay's configuration that tells these paths, as they are, whatever it has."""
    cases = "".join(
        f"  if net = {prefix} then {{ bgp_path.empty; "
        + "".join(f"bgp_path.prepend({number}); " for number in reversed(path))
        + "accept; }\n"
        for prefix, path in said.items()
    )
    text = re.sub(r"filter mesh_out6 \{.*?\n\}", f"filter mesh_out6 {{\n{cases}  reject;\n}}", text, flags=re.DOTALL)
    # As a route server does, so that its own number is on a path only where it says so.
    return text.replace("hold time 9;", "rs client; hold time 9;")


def originate(namespace: Namespace, *prefixes: str) -> None:
    for prefix in prefixes:
        namespace.run("ip", "-6", "route", "add", "blackhole", prefix, "table", str(TABLE), "proto", "186")


def link(one: Namespace, other: Namespace, slot: int, there: int) -> None:
    one.run("ip", "link", "add", f"altl{there}", "type", "veth", "peer", "name", f"altl{slot}", "netns", other.name)
    for namespace, device, own in ((one, f"altl{there}", slot), (other, f"altl{slot}", there)):
        namespace.run("ip", "addr", "add", f"fe80::{own}/64", "dev", device, "nodad")
        namespace.run("ip", "link", "set", device, "up")


def test_a_relay_that_was_taken_over_can_offer_itself_as_a_way_to_what_others_own_and_can_own_nothing(
    netns_factory: NamespaceFactory, tmp_path: Path
) -> None:
    a, b, c = (netns_factory(f"forge-{name}") for name in "abc")
    link(a, b, A, B)
    link(a, c, A, C)
    for namespace, slot in ((a, A), (b, B), (c, C)):
        namespace.run("ip", "addr", "add", f"fd42:1337:beef::{slot}/128", "dev", "lo", "nodad")
    me, victim, listener = asn(B), asn(C), asn(A)
    believed = {prefix: [me, victim] for prefix in (ITSELF, CLIENTS, SITE, CLIENT)}
    refused = {
        "fd77:5:0:7::/64": [me, victim],  # a part of c's site
        "fd77:9::/48": [me, victim],  # nobody's
        "fd42:1337:beef:1004::/64": [me, victim],  # of a relay that is not there
        "fd42:1337:beef:1::3/128": [me, victim],  # c's locator
        "fd42:1337:beef::/48": [me, victim],
        "2001:db8::/32": [me, victim],  # around c's endpoint
        "::/0": [me, victim],
        "fd42:1337:beef:1001::/64": [me, listener],  # what a has itself
        "fd42:1337:beef:1003::a/128": [me],  # c's client, by its own name
        "fd42:1337:beef:1003::b/128": [victim],  # by c's name alone
        "fd42:1337:beef:1003::c/128": [me, victim, me],
        "fd42:1337:beef:1003::d/128": [me] * LONGEST_PATH + [victim],
    }
    said = {**refused, **believed, LAST: [me, me]}
    originate(b, *refused, *believed)
    originate(c, ITSELF, CLIENTS, SITE)
    with ExitStack() as stack:
        # The link to the liar is the cheaper one, and it says that from there on c costs nothing.
        here = stack.enter_context(running(a, tmp_path, A, rendered(A, (B, C), {B: 1000, C: 5000})))
        stack.enter_context(running(b, tmp_path, B, lying(rendered(B, (A,)), said)))
        stack.enter_context(running(c, tmp_path, C, rendered(C, (A,))))
        # Not prevented: a sends by b what is for c. A more precise route beats the true one whatever it costs.
        for prefix in (ITSELF, CLIENTS, SITE):
            eventually(
                lambda one=prefix: here.ways(one) == [[me, victim], [victim]], f"{prefix} is not by b, then by c"
            )  # type: ignore[misc]  # mypy infers no lambda with a default
        assert here.ways(CLIENT) == [[me, victim]]
        # Prevented: everything that does not end in who owns exactly this. What is said last comes last.
        originate(b, LAST)
        eventually(lambda: here.ways(LAST) == [[me, me]], "b's last word did not come")
        assert {prefix: here.ways(prefix) for prefix in refused if here.ways(prefix)} == {}
