"""Rules on prefixes: what one matches, whether two meet, and what would let everything through.

A rule names a prefix and two lengths, and matches every prefix inside that is as long as the lengths say. Leaves out
whose rules they are (`peerings`) and who enforces them (BIRD, on the relay).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from altnet.common.contracts.routing import Family, PrefixRule
from altnet.common.errors import Invalid
from altnet.common.net import Prefix, parse_prefix

MOST_RULES: Final = 256

WIDE: Final = {Family.IPV4: 8, Family.IPV6: 16}
"""A rule whose prefix is shorter than this takes in whole continents: it must be said aloud. So must rules that
together hold as many addresses as the narrowest such rule."""


def family_of(prefix: Prefix) -> Family:
    return Family.IPV4 if isinstance(prefix, IPv4Network) else Family.IPV6


def check_rules(rules: Sequence[PrefixRule], *, families: Iterable[Family], field: str) -> tuple[PrefixRule, ...]:
    """The rules in canonical form, in the given order. Raises `Invalid` with the field.

    `bad_prefix`, `bad_rule` (too many, lengths that match nothing), `family_missing`, `rules_overlap`.
    """
    if len(rules) > MOST_RULES:
        raise Invalid("bad_rule", f"more than {MOST_RULES} rules.", field=field, mend="Join neighbouring prefixes.")
    said = set(families)
    read: list[tuple[Prefix, PrefixRule]] = []
    for number, rule in enumerate(rules):
        prefix = _prefix(rule, field=f"{field}/{number}/prefix")
        if family_of(prefix) not in said:
            raise Invalid(
                "family_missing",
                f"{prefix} is {family_of(prefix)}, which the session does not carry.",
                field=f"{field}/{number}/prefix",
                mend=f"Add {family_of(prefix)} to families, or leave the rule out.",
            )
        _check_lengths(prefix, rule, field=f"{field}/{number}")
        checked = PrefixRule(prefix=str(prefix), shortest=rule.shortest, longest=rule.longest)
        for earlier, (other, there) in enumerate(read):
            if meet(checked, there):
                raise Invalid(
                    "rules_overlap",
                    f"{prefix} and {other} (rule {earlier}) match the same prefixes.",
                    field=f"{field}/{number}",
                    mend="Leave one of the two out, or give them lengths that do not meet.",
                )
        read.append((prefix, checked))
    return tuple(rule for _, rule in read)


def in_order(rules: Iterable[PrefixRule]) -> tuple[PrefixRule, ...]:
    """IPv4 first, then by address and length: the order in which they came means nothing."""

    def place(rule: PrefixRule) -> tuple[int, int, int, int]:
        prefix = parse_prefix(rule.prefix)
        return prefix.version, int(prefix.network_address), prefix.prefixlen, rule.shortest

    return tuple(sorted(rules, key=place))


def meet(one: PrefixRule, other: PrefixRule) -> bool:
    """Whether some prefix is matched by both. Their prefixes are canonical."""
    a, b = parse_prefix(one.prefix), parse_prefix(other.prefix)
    if a.version != b.version or not a.overlaps(b):
        return False
    return max(one.shortest, other.shortest) <= min(one.longest, other.longest)


def reaches(rule: PrefixRule, ours: Prefix) -> bool:
    """Whether the rule matches `ours` or something inside it."""
    prefix = parse_prefix(rule.prefix)
    return prefix.version == ours.version and prefix.overlaps(ours) and rule.longest >= ours.prefixlen


def is_wide(rule: PrefixRule) -> bool:
    """Whether the rule lets (nearly) everything of its family through, or the default route."""
    prefix = parse_prefix(rule.prefix)
    return prefix.prefixlen < WIDE[family_of(prefix)]


def opened(rules: Iterable[PrefixRule]) -> Family | None:
    """The family of which these rules together let through as much as a wide rule would; None: of neither.

    Counted are the addresses in their prefixes, each once: how a range is cut into rules makes no difference.
    """
    prefixes = [parse_prefix(rule.prefix) for rule in rules]
    four = [prefix for prefix in prefixes if isinstance(prefix, IPv4Network)]
    six = [prefix for prefix in prefixes if isinstance(prefix, IPv6Network)]
    if sum(one.num_addresses for one in collapse_addresses(four)) >= 2 ** (32 - WIDE[Family.IPV4] + 1):
        return Family.IPV4
    if sum(one.num_addresses for one in collapse_addresses(six)) >= 2 ** (128 - WIDE[Family.IPV6] + 1):
        return Family.IPV6
    return None


def matches(rule: PrefixRule, prefix: Prefix) -> bool:
    """Whether the rule matches this very prefix."""
    place = parse_prefix(rule.prefix)
    inside = (isinstance(prefix, IPv6Network) and isinstance(place, IPv6Network) and prefix.subnet_of(place)) or (
        isinstance(prefix, IPv4Network) and isinstance(place, IPv4Network) and prefix.subnet_of(place)
    )
    return inside and rule.shortest <= prefix.prefixlen <= rule.longest


def _prefix(rule: PrefixRule, *, field: str) -> Prefix:
    prefix = parse_prefix(rule.prefix, field=field)
    if prefix.is_multicast or prefix.is_loopback or (prefix.version == 6 and prefix.is_link_local):
        raise Invalid(
            "bad_prefix",
            f"{prefix} is not routed between networks.",
            field=field,
            mend="Name unicast prefixes that others can reach.",
        )
    return prefix


def _check_lengths(prefix: Prefix, rule: PrefixRule, *, field: str) -> None:
    own, most = prefix.prefixlen, prefix.max_prefixlen
    if rule.longest > most:
        raise Invalid(
            "bad_rule",
            f"no prefix of {family_of(prefix)} is longer than {most}.",
            field=f"{field}/longest",
            mend=f"Give a length from {own} to {most}.",
        )
    if rule.shortest < own:
        raise Invalid(
            "bad_rule",
            f"inside {prefix} every prefix has at least {own} bits, so {rule.shortest} is never matched.",
            field=f"{field}/shortest",
            mend=f"Give at least {own}, or leave it out.",
        )
    if rule.longest < rule.shortest:
        raise Invalid(
            "bad_rule",
            f"longest ({rule.longest}) is below shortest ({rule.shortest}): the rule matches nothing.",
            field=f"{field}/longest",
            mend="Swap them, or leave both out for exactly this prefix.",
        )
