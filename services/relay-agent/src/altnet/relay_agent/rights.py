"""What a relay may originate, and bring in from outside, as its entry in the mesh says it. Pure.

Each prefix and each rule is judged alone. What would harm this host is left out and named, and nothing else of the
relay is lost for it: its peer, its link, its session and its other prefixes stay. Leaves out who enforces it
(bird/config.py), and which routes follow from it (view.py). Invariant: no origin that comes out of here takes the
host's default route, a locator, another relay's address, or the end of the relay's own tunnels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Network
from typing import NamedTuple, TypeVar

from altnet.common import origins
from altnet.common.contracts.desired import RelayEntry
from altnet.common.contracts.routing import PrefixRule
from altnet.common.errors import Invalid
from altnet.common.net import AddressPlan, Prefix, parse_prefix
from altnet.common.origins import SHORTEST_ORIGIN, Address, endpoint_address
from altnet.relay_agent.bird.pieces import LearnedRule

_Said = TypeVar("_Said")
_Right = TypeVar("_Right")


class Pools(NamedTuple):
    """The pools that no site may claim, and that the firewall knows."""

    locators: IPv6Network
    relays: IPv6Network
    clients: IPv6Network
    services: IPv6Network


@lru_cache(maxsize=64)
def _pools(network: int) -> Pools:
    plan = AddressPlan(IPv6Network((network, 48)))
    return Pools(plan.locators, plan.relays, plan.clients, plan.services)


def pools(plan: AddressPlan) -> Pools:
    return _pools(int(plan.prefix.network_address))


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What an entry says, as far as it can be had, each once and in its order."""

    origins: tuple[Prefix, ...] = ()
    roaming: tuple[Prefix, ...] = ()
    """Of clients that may attach there."""
    learned: tuple[LearnedRule, ...] = ()
    refused: tuple[Invalid, ...] = ()
    """Why the rest cannot be had."""


def rights_of(plan: AddressPlan, entry: RelayEntry) -> Rights:
    """The rights of a relay. What is wrong is in `refused`; nothing is raised."""
    refused: list[Invalid] = []
    return Rights(
        origins=_each(entry.origins, lambda text: check_origin(plan, entry, text), refused),
        roaming=_each(entry.roaming, lambda text: check_origin(plan, entry, text), refused),
        learned=_each(entry.learned, lambda rule: check_learned(entry, rule), refused),
        refused=tuple({str(error): error for error in refused}.values()),
    )


def _each(said: Iterable[_Said], check: Callable[[_Said], _Right], refused: list[Invalid]) -> tuple[_Right, ...]:
    found: list[_Right] = []
    for one in dict.fromkeys(said):
        try:
            found.append(check(one))
        except Invalid as error:
            refused.append(error)
    return tuple(found)


def check_origin(plan: AddressPlan, entry: RelayEntry, text: str) -> Prefix:
    """A prefix that a relay may originate. Raises `Invalid` (`bad_prefix`, `bad_origin`).

    Refused: what no site may be (altnet.common.origins), what would carry tunnels into themselves (locators, the
    relay's own endpoint), and another relay's overlay address.
    """
    field = f"/relays/{entry.id}/origins"
    try:
        prefix = _origin(text)
    except Invalid as error:
        raise Invalid(error.code, error.detail, field=field, mend=error.mend) from None
    reserved = pools(plan)
    if isinstance(prefix, IPv6Network) and (prefix.overlaps(reserved.locators) or prefix.overlaps(reserved.relays)):
        raise Invalid(
            "bad_origin", f"{prefix} overlaps the relays' own addresses.", field=field, mend="Name what is behind it."
        )
    endpoint = origins.covered(prefix, entry.endpoints)
    if endpoint is not None:
        raise Invalid(
            "bad_origin",
            f"{prefix} covers the relay's own endpoint {endpoint}: tunnels would run in themselves.",
            field=field,
            mend="Take that part out of the site, or give the relay an endpoint outside.",
        )
    return prefix


def check_learned(entry: RelayEntry, rule: PrefixRule) -> LearnedRule:
    """A rule for what a relay may bring in from outside. Raises `Invalid` (`bad_prefix`, `bad_rule`)."""
    field = f"/relays/{entry.id}/learned"
    try:
        prefix = _parse_prefix(rule.prefix)
    except Invalid as error:
        raise Invalid(error.code, error.detail, field=field, mend=error.mend) from None
    if not prefix.prefixlen <= rule.shortest <= rule.longest <= prefix.max_prefixlen:
        raise Invalid(
            "bad_rule",
            f"{prefix} has no prefixes of {rule.shortest} to {rule.longest} bits.",
            field=field,
            mend=f"Give lengths from {prefix.prefixlen} to {prefix.max_prefixlen}.",
        )
    return LearnedRule(prefix=prefix, shortest=rule.shortest, longest=rule.longest)


def endpoint_addresses(entry: RelayEntry) -> tuple[Address, ...]:
    """Where a relay's tunnels end, as far as addresses tell; host names are left out."""
    found = map(endpoint_address, entry.endpoints)
    return tuple(dict.fromkeys(address for address in found if address is not None))


def outside_origins(plan: AddressPlan, entry: RelayEntry) -> list[Prefix]:
    """The origins, and what may be learned, outside the network's prefix: the firewall lets them in from links."""
    may = rights_of(plan, entry)
    found = [prefix for prefix in may.origins if not inside(plan, prefix)]
    # Shorter ones stay at the relay that has them.
    found += [rule.prefix for rule in may.learned if rule.longest >= SHORTEST_ORIGIN[rule.prefix.version]]
    return found


def inside(plan: AddressPlan, prefix: Prefix) -> bool:
    """Whether a prefix is the network's own."""
    return isinstance(prefix, IPv6Network) and prefix.subnet_of(plan.prefix)


_parse_prefix = lru_cache(maxsize=8192)(parse_prefix)


@lru_cache(maxsize=8192)
def _origin(text: str) -> Prefix:
    return origins.check_origin(_parse_prefix(text))
