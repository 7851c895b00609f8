"""What the owner of a peering should know: allowed, and worth a word.

Leaves out what is refused (`peerings`).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from altnet.common.contracts.routing import Engine, Family, Peering
from altnet.registry.domain.prefix_rules import opened

_DOCUMENTATION: Final = (range(64_496, 64_512), range(65_536, 65_552))
_UNASSIGNED: Final = range(65_552, 131_072)


@dataclass(frozen=True)
class Remark:
    """Allowed, and worth a word."""

    code: str
    field: str
    detail: str
    mend: str


def remarks(
    peering: Peering,
    *,
    engine: Engine,
    accept_everything: bool,
    announce_everything: bool,
    password_lost: bool,
    silent: bool = False,
) -> list[Remark]:
    """What its owner should know.

    `password_lost`: the relay has another identity key than it was sealed for. `silent`: the relay is not heard.
    """
    found: list[Remark] = []

    def say(code: str, field: str, detail: str, mend: str) -> None:
        found.append(Remark(code, field, detail, mend))

    if password_lost:
        say(
            "password_needed",
            "/password",
            "the relay has enrolled with another identity key and cannot read the password; the session stays down.",
            "Set the password again.",
        )
    if engine is Engine.STATIC:
        say(
            "no_routing_engine",
            "/relay",
            "the relay runs without BIRD: it holds no session.",
            "Install bird2 on its host; the agent notices.",
        )
    if silent:
        say(
            "relay_silent",
            "/relay",
            "the relay is not heard: how the session is now, nobody knows.",
            "See the relay's health.",
        )
    if not peering.enabled:
        say("disabled", "/enabled", "the session is switched off.", "Set enabled to true.")
    if not peering.imports:
        say("imports_nothing", "/imports", "no import rule: whatever the neighbour tells is refused.", "Add a rule.")
    if not peering.exports:
        say("exports_nothing", "/exports", "no export rule: nothing is announced to the neighbour.", "Add a rule.")
    for field, flag, rules in (
        ("accept_everything", accept_everything, peering.imports),
        ("announce_everything", announce_everything, peering.exports),
    ):
        if flag and opened(rules) is None:
            say(f"{field}_unused", f"/{field}", "no rule needs this permission.", "Set it to false.")
        elif flag:
            say(field, f"/{field}", "the rules let (nearly) everything through.", "Narrow them if that is not meant.")
    for field, number in (("/asn", peering.asn), ("/local_asn", peering.local_asn or 0)):
        if any(number in reserved for reserved in _DOCUMENTATION):
            say("documentation_asn", field, f"AS{number} is for documentation (RFC 5398).", "Use it in labs only.")
        elif number in _UNASSIGNED:
            say("unassigned_asn", field, f"AS{number} is reserved by IANA.", "Check the number.")
    address = ip_address(peering.address)
    if address.version == 4 and Family.IPV6 in peering.families:
        say(
            "next_hop_family",
            "/families",
            "IPv6 over an IPv4 session needs an IPv6 address on the same interface as next hop.",
            "Peer over IPv6 where you can.",
        )
    if address.version == 6 and Family.IPV4 in peering.families:
        say(
            "next_hop_family",
            "/families",
            "IPv4 over an IPv6 session needs a neighbour with extended next hops (RFC 8950).",
            "Peer over IPv4 where the neighbour cannot.",
        )
    return found
