"""What a violated constraint means to whoever caused it. Names are those of the migration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from altnet.common.errors import AltnetError, Conflict, Invalid, NotFound


def name_taken() -> Conflict:
    return Conflict(
        "name_taken",
        "another relay, client or service of this network has this name.",
        field="/name",
        mend="Choose another name: names become DNS names and must differ.",
    )


def key_taken(field: str = "/key") -> Conflict:
    return Conflict(
        "key_taken",
        "this public key is in use already.",
        field=field,
        mend="Make a new key pair; every interface needs its own.",
    )


def key_revoked(field: str = "/key") -> Conflict:
    return Conflict(
        "key_revoked",
        "this public key was revoked; nobody may have it again.",
        field=field,
        mend="Make a new key pair. See GET /v1/revocations for who revoked it, and why.",
    )


def _network_overlap() -> Conflict:
    return Conflict(
        "prefix_overlaps", "the prefix overlaps another network's.", field="/prefix", mend="Choose another."
    )


def _site_overlap() -> Conflict:
    return Conflict(
        "prefix_overlaps",
        "a prefix overlaps one of another site.",
        field="/prefixes",
        mend="Each prefix belongs to one site; let several relays announce that site.",
    )


def _inside_network() -> Invalid:
    return Invalid(
        "prefix_inside_network",
        "a site's prefix lies inside the network's own, or contains it.",
        field="/prefixes",
        mend="A site announces what is outside the network's /48.",
    )


CONFLICTS: Final[Mapping[str, Callable[[], AltnetError]]] = {
    "names_pkey": name_taken,
    "keys_pkey": key_taken,
    "relays_nkey_key": lambda: Conflict("nkey_taken", "this host is enrolling already.", field="/nkey"),
    "networks_name_key": lambda: Conflict("name_taken", "another network has this name.", field="/name"),
    "networks_prefix_overlap": _network_overlap,
    "networks_prefix_check": lambda: Invalid("bad_network_prefix", "not a /48 inside fd00::/8.", field="/prefix"),
    "sites_name_key": lambda: Conflict("name_taken", "another site of this network has this name.", field="/name"),
    "peerings_name_key": lambda: Conflict(
        "name_taken", "another peering of this network has this name.", field="/name", mend="Choose another name."
    ),
    "peerings_neighbour_key": lambda: Conflict(
        "neighbour_taken",
        "the relay has a peering with this neighbour already.",
        field="/address",
        mend="Change that one: between two addresses there is one session.",
    ),
    "site_prefixes_overlap": _site_overlap,
    "site_prefixes_outside_network": _inside_network,
    "site_relays_relay_id_fkey": lambda: NotFound("no_such_relay", "there is no such relay.", field="/relays"),
    "clients_relay_id_fkey": lambda: NotFound("no_such_relay", "there is no such relay.", field="/relay"),
    "clients_standby_id_fkey": lambda: NotFound("no_such_relay", "there is no such relay.", field="/standby"),
    "allocations_overlap": lambda: Conflict("address_taken", "the address was given to another at this moment."),
    "allocations_slot": lambda: Conflict("address_taken", "the slot was given to another at this moment."),
}
