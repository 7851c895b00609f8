"""Desired state: what a relay should be, as documents.

Two documents make a relay's view. The *mesh* (one per network, shared) lists every relay with what others need to
know of it. The *relay document* (one per relay, private) says which links this relay has and which clients attach
to it. Both carry a generation: the number of the last accepted change that they contain. It comes from Postgres
alone, so a rebuilt bucket can never look newer than the truth.

The mesh travels as a compressed snapshot plus deltas. A delta names the generation it builds on; a reader that has
another one fetches the snapshot again. The publisher writes the snapshot before the delta, so a fetched snapshot is
never older than the delta that caused the fetch.

Whatever follows from a slot (addresses, AS number, link identifiers) is not in here: `altnet.common.net` has it.
"""

from __future__ import annotations

import zlib
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from altnet.common.contracts.routing import Engine, Peering, PrefixRule
from altnet.common.errors import UNREADABLE, Broken

Generation = Annotated[int, msgspec.Meta(ge=0)]
Slot = Annotated[int, msgspec.Meta(ge=1, le=4095)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]

LARGEST_DOCUMENT: Final = 64 * 2**20
"""Bytes after decompression that a reader accepts; 100,000 relay entries stay below it."""


_Document = TypeVar("_Document", "MeshSnapshot", "MeshDelta", "RelayDocument")


class Encapsulation(StrEnum):
    """How a link crosses the mesh interface. Ordered by preference: less overhead first."""

    IP6GRE = "ip6gre"
    VXLAN = "vxlan"


class RelayState(StrEnum):
    """What the operator wants of a relay."""

    ACTIVE = "active"
    DRAINING = "draining"


class PresharedPolicy(StrEnum):
    """What a network wants of WireGuard's pre-shared keys between its relays."""

    OFF = "off"
    """None; what a pair has, the two lay down together."""
    ON = "on"
    """Pairs that can agree on one, and go without where they never did."""
    REQUIRED = "required"
    """A pair that has not agreed on one is closed."""


class MeshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every relay of a network. Times in seconds, sizes in bytes."""

    mtu: Annotated[int, msgspec.Meta(ge=1280, le=9000)] = 1420
    """Of the mesh interface: what an underlay of 1500 leaves for WireGuard over IPv6."""
    access_mtu: Annotated[int, msgspec.Meta(ge=1280, le=9000)] = 1280
    """Of access interfaces and clients: IPv6's minimum, which passes everywhere."""
    keepalive: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 25
    """Of the initiating side: below the 30 s after which common NATs forget UDP."""
    heartbeat: Annotated[float, msgspec.Meta(ge=0.2, le=300)] = 5.0
    """Between two status messages of a relay."""
    probe: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 1.0
    """Between two probes of a link (round-trip time and loss)."""
    bfd_interval: Annotated[float, msgspec.Meta(ge=0.01, le=10)] = 0.05
    """Between two BFD packets of a link (RFC 5880); a path that is silent for `bfd_multiplier` of them is replaced."""
    bfd_multiplier: Annotated[int, msgspec.Meta(ge=2, le=50)] = 3
    restart_time: Annotated[int, msgspec.Meta(ge=10, le=4095)] = 120
    """For how long routes outlive a neighbour's routing engine while it restarts (RFC 4724)."""
    preshared_keys: PresharedPolicy = PresharedPolicy.OFF
    preshared_refresh: Annotated[int, msgspec.Meta(ge=120, le=86400)] = 3600
    """Between two pre-shared keys of a pair."""


class KeyStage(StrEnum):
    """How far a relay's next mesh key is. Each stage may be missed: a later one contains those before it."""

    ASKED = "asked"
    """The relay is to make a key."""
    READY = "ready"
    """Its neighbours that have a next key too take this one beside the present one, and wait to be spoken to."""
    OPEN = "open"
    """Initiators speak; each pair with an open end moves its locators' routes when it sees the handshake."""
    BACK = "back"
    """Routes go back to the present keys, whose sessions still live."""


class NextKey(msgspec.Struct, frozen=True, kw_only=True):
    """The mesh key that a relay is changing to, on a device of its own beside the present one."""

    epoch: Annotated[int, msgspec.Meta(ge=1)]
    stage: KeyStage
    key: str = ""
    """Base64; empty while the relay has not told it."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """UDP, in place of the port of its endpoints."""


class IdentityKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The public identity of a host, base64, that keyd has seen proven."""

    static: str
    """X25519."""
    signing: str
    """Ed25519: what the host says to other relays is signed by it."""


class AccessKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a relay's access interface, which its clients know it by."""

    key: str
    """Base64."""
    epoch: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of this key: the number of the rotation that brought it; 0 for the one that the relay enrolled with."""
    next: NextKey | None = None
    """During a rotation of it. Clients that ask are told of it from `open` on."""


class RelayEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What every relay of the network may know of one relay."""

    id: str
    name: str
    slot: Slot
    key: str
    """Public key of the mesh interface, base64."""
    epoch: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of this key: the number of the rotation that brought it; 0 for the one that the relay enrolled with."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Where this key's device listens, in place of the port of the endpoints; 0: as the endpoints say."""
    next: NextKey | None = None
    """During a rotation of keys."""
    endpoints: tuple[str, ...] = ()
    """`host:port` or `[address]:port` on the underlay, preferred first. Empty: only it can initiate."""
    state: RelayState = RelayState.ACTIVE
    region: str = ""
    encapsulations: tuple[Encapsulation, ...] = (Encapsulation.VXLAN,)
    """What its kernel can do; a link uses the best that both ends have."""
    origins: tuple[str, ...] = ()
    """Prefixes it originates beyond its own address and client /64: roaming clients, services, sites. Sorted."""
    roaming: tuple[str, ...] = ()
    """The /128s of clients that may attach to it, from outside its own /64: it announces one while that client is
    attached here, and others take it then. Sorted."""
    learned: tuple[PrefixRule, ...] = ()
    """What its peerings with the outside may bring in, and it may then announce. Sorted."""
    routing: Engine = Engine.STATIC
    """What decides its paths; a link has a BGP session where both ends run BIRD."""
    identity: IdentityKeys | None = None
    """None while its host is not proven."""


class AccessClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client that may attach to this relay."""

    id: str
    key: str
    addresses: tuple[str, ...]
    """Its /128s; WireGuard's AllowedIPs on the access interface, hence the anti-spoofing rule."""
    standby: bool = False
    """This relay is its second one: it may attach here, and only then is it announced from here."""
    movable: bool = False
    """It says itself where it is attached (contracts.attach); else it is where the registry put it."""
    door: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0
    """Which of the two ports of each access key its key comes by; a change of its key takes the other one."""
    next_key: str = ""
    """The key that it is changing to: taken beside the present one, at the other door."""
    wished: bool = False
    """It is to make another key: the relay tells it that there is news, and it asks the registry which."""
    other: str = ""
    """The other relay that it may attach to; empty: none, or none any more. When that changes, as when it is revoked,
    this one tells the client that there is news."""


class MeshSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole mesh at one generation."""

    network: str
    prefix: str
    generation: Generation
    settings: MeshSettings = MeshSettings()
    relays: tuple[RelayEntry, ...] = ()
    """Sorted by id."""


class MeshDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What changed in the mesh from generation `prev` to `generation`."""

    network: str
    prev: Generation
    generation: Generation
    settings: MeshSettings | None = None
    changed: tuple[RelayEntry, ...] = ()
    removed: tuple[str, ...] = ()


class RelayDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What one relay alone is told."""

    relay: str
    network: str
    generation: Generation
    revoked: bool = False
    """The relay is out: it takes down its tunnels and stops."""
    links: tuple[str, ...] | None = None
    """Ids of the relays it has links to, sorted; None means all of the mesh. The full mesh is not spelled out
    so that a join writes one document, not as many as there are relays."""
    mesh_port: Port = 51820
    access_port: Port = 51830
    """Of the first access device; the others follow it (`access_ports`)."""
    access: AccessKeys | None = None
    """None in a document of before access keys could rotate: the key is the one that the relay enrolled with."""
    clients: tuple[AccessClient, ...] = ()
    """Sorted by id."""
    peerings: tuple[Peering, ...] = ()
    """With routers outside. Sorted by id."""


def pack(document: MeshSnapshot | MeshDelta | RelayDocument) -> bytes:
    """JSON, compressed. The same document always gives the same bytes."""
    return zlib.compress(msgspec.json.encode(document), 6)


def unpack_snapshot(data: bytes) -> MeshSnapshot:
    """Read a mesh snapshot. Raises `Broken`."""
    return _unpack(data, MeshSnapshot)


def unpack_delta(data: bytes) -> MeshDelta:
    """Read a mesh delta. Raises `Broken`."""
    return _unpack(data, MeshDelta)


def unpack_relay_document(data: bytes) -> RelayDocument:
    """Read a relay document. Raises `Broken`."""
    return _unpack(data, RelayDocument)


DOORS: Final = 2
"""Ports of each access key: a client's present key comes by one of them, the key that it is changing to by the other,
so that two keys can own one address for a while."""


def access_device(key_device: int, door: int) -> int:
    """The number of the access device of a relay's key (0 or 1) and a door; its port is the first one's and this."""
    return key_device + 2 * door


def link_encapsulation(one: RelayEntry, other: RelayEntry) -> Encapsulation | None:
    """The encapsulation of the link between two relays: the best that both have, None where they share none."""
    return next((e for e in Encapsulation if e in one.encapsulations and e in other.encapsulations), None)


def neighbours(entries: tuple[RelayEntry, ...], document: RelayDocument) -> tuple[RelayEntry, ...]:
    """The relays that the document gives links to, out of the mesh's entries."""
    if document.links is None:
        return tuple(entry for entry in entries if entry.id != document.relay)
    wanted = set(document.links)
    return tuple(entry for entry in entries if entry.id in wanted and entry.id != document.relay)


def _unpack(data: bytes, kind: type[_Document]) -> _Document:
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(data, LARGEST_DOCUMENT)
    except zlib.error as error:
        raise Broken(f"{kind.__name__}: not compressed data: {error}") from None
    if inflate.unconsumed_tail or not inflate.eof:
        raise Broken(f"{kind.__name__}: cut off, or larger than {LARGEST_DOCUMENT} bytes")
    try:
        return msgspec.json.decode(plain, type=kind)
    except UNREADABLE as error:
        raise Broken(f"{kind.__name__}: {error}") from None
