"""Stories about one agent, told in short scripts and played on a host in memory and a clock that moves when told to.

A script is a text file. `#` starts a comment; every other line is one command. The agent under test is relay `me` at
slot 1; relays `a`, `b`, … have slots 2, 3, ….

    registry wants a b             the mesh becomes me, a, b; stored, and told to the agent
    registry stores a b            the same, and the message is lost
    registry repeats N             the Nth message is told again (1 is the first)
    registry changes a site fd77::/48
    registry document links=a clients=x port=51999 revoked     (any of them); stored and told
    registry wiped                 the bus has lost everything
    agent starts | fetches | dies | forgets   (forgets: it dies, and its disk cache with it)
    host reboots
    kernel fails VERB [TIMES]      the next calls of that verb are refused
    somebody deletes peer a | link a | routes | table | device
    nft missing | there
    clock +5s
    expect ops put peer a, delete link b      what was done since the last such line, in any order; `!` failed;
    expect ops none                           `all a` is everything that a relay needs, `host` the host's own
    expect peers a b | links a b | none
    expect health ok | degraded | revoked | waiting
    expect applied 3 | as planned | not as planned
    expect repaired 2

Invariant: nothing happens between two lines but what is due at that instant.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
from altnet.common.kernel.links import HostRefused
from altnet.common.kernel.wireguard import PeerChange
from altnet.relay_agent.diff import Delete, Operation, Update
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.pieces import ADDRESSES, DEVICES, FIREWALL, FORWARDING, LINKS, NEIGHBOURS, PEERS, ROUTES
from altnet.relay_agent.planes import Failures, Plane
from support.relays import PLAN, Paper, Rig, client, document, entry, key_of, relay_id

NAMES = "abcdefgh"
SLOTS = {name: slot for slot, name in enumerate(NAMES, 2)}
ALL = ("peer", "link", "address", "neighbour", "route locator", "route overlay", "route clients")


class Failed(AssertionError):
    """A line of a script did not hold."""


class Recorder:
    """A plane that writes down what it is asked to do."""

    def __init__(self, plane: Plane, note: Callable[[Operation, bool], None]) -> None:
        self.name = plane.name
        self.read = plane.read
        self.same = plane.same
        self._plane = plane
        self._note = note

    async def update(self, operations: Sequence[Update]) -> Failures:
        return self._noted(operations, await self._plane.update(operations))

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        return self._noted(operations, await self._plane.delete(operations))

    def _noted(self, operations: Sequence[Operation], failures: Failures) -> Failures:
        for operation in operations:
            self._note(operation, operation.key in failures)
        return failures


class Story:
    """Plays one script."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.paper = Paper()
        self.document = document("me", 0)
        self.messages: list[bytes] = []
        self.sites: dict[str, tuple[str, ...]] = {}
        self.done: list[str] = []
        self._listen()

    async def play(self, text: str, *, where: str) -> None:
        for number, line in enumerate(text.splitlines(), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            try:
                await self.line(words)
            except Failed as error:
                raise Failed(f"{where}:{number}: {line.strip()}\n    {error}") from None

    async def line(self, words: list[str]) -> None:
        verb = _VERBS.get(words[0])
        if verb is None:
            raise Failed(f"no such command: {words[0]}")
        await verb(self, words[1:])

    # -- what happens ---------------------------------------------------------------------------------------------

    async def registry(self, words: list[str]) -> None:
        match words:
            case ["wants", *names]:
                await self.rig.tell(self._want(names))
            case ["stores", *names]:
                self._want(names)
            case ["changes", name, "site", *sites]:
                self.sites[name] = tuple(sites)
                await self.rig.tell(self._want([item.name for item in self._others()]))
            case ["repeats", number]:
                await self.rig.tell(self.messages[int(number) - 1])
            case ["document", *fields]:
                self.document = msgspec.structs.replace(
                    document("me"), generation=self.document.generation + 1, **_document(fields)
                )
                await self.rig.give(self.document)
            case ["wiped"]:
                self.rig.shelf.stored.clear()
            case _:
                raise Failed(f"the registry cannot: {' '.join(words)}")

    async def agent(self, words: list[str]) -> None:
        match words:
            case ["starts"]:
                await self.rig.start()
            case ["fetches"]:
                await self.rig.fetch()
            case ["forgets"]:
                enrolment = self.rig.state.enrolment()
                self.rig.state = MemoryState(self.rig.state.identity(), enrolment)
                await self.agent(["dies"])
            case ["dies"]:
                await self.rig.crash()
                self._listen()
            case _:
                raise Failed(f"the agent cannot: {' '.join(words)}")

    async def host(self, words: list[str]) -> None:
        if words != ["reboots"]:
            raise Failed(f"the host cannot: {' '.join(words)}")
        memory = self.rig.memory
        for name in [name for name in memory.link_states if name != "lo"]:
            memory.remove_interface(name)
        memory.addresses["lo"].clear()
        memory.routes.clear()
        self.rig.tables.tables.clear()
        memory.sysctls["net/ipv6/conf/all/forwarding"] = "0"
        await self.agent(["dies"])

    async def kernel(self, words: list[str]) -> None:
        match words:
            case ["fails", verb, *times]:
                refusal = HostRefused(verb, "the script says so")
                self.rig.memory.fail_next(verb, refusal, times=int(times[0]) if times else 1)
            case _:
                raise Failed(f"the kernel cannot: {' '.join(words)}")

    async def somebody(self, words: list[str]) -> None:
        memory = self.rig.memory
        match words:
            case ["deletes", "peer", name]:
                await memory.wireguard.apply("altm0", [PeerChange.remove(key_of(name).public())])
            case ["deletes", "link", name]:
                memory.remove_interface(f"altl{SLOTS[name]}")
            case ["deletes", "device"]:
                memory.remove_interface("altm0")
            case ["deletes", "routes"]:
                memory.routes.clear()
            case ["deletes", "table"]:
                self.rig.tables.tables.clear()
            case _:
                raise Failed(f"nobody can: {' '.join(words)}")

    async def nft(self, words: list[str]) -> None:
        self.rig.tables.missing = words == ["missing"]

    async def clock(self, words: list[str]) -> None:
        (text,) = words
        found = re.fullmatch(r"\+(\d+(?:\.\d+)?)s", text)
        if not found:
            raise Failed(f"not a time: {text}")
        await self.rig.advance(float(found[1]))

    # -- what is expected -----------------------------------------------------------------------------------------

    async def expect(self, words: list[str]) -> None:
        match words:
            case ["ops", *rest]:
                wanted = sorted(_operations(" ".join(rest)))
                seen, self.done = sorted(set(self.done)), []
                _equal("operations", seen, wanted)
            case ["peers", *names]:
                _equal("peers", sorted(self.rig.peers), _names(names))
            case ["links", *names]:
                links = {name for name, slot in SLOTS.items() if f"altl{slot}" in self.rig.memory.link_states}
                _equal("links", sorted(links), _names(names))
            case ["health", state]:
                _equal("health", _state(self.rig.agent.health()), state)
            case ["applied", generation]:
                _equal("generation", self.rig.agent.reconciler.applied().mesh_generation, int(generation))
            case ["as", "planned"]:
                _equal("as planned", self.rig.as_planned(self.paper), True)
            case ["not", "as", "planned"]:
                _equal("as planned", self.rig.as_planned(self.paper), False)
            case ["repaired", number]:
                _equal("repaired", self.rig.agent.reconciler.repaired, int(number))
            case _:
                raise Failed(f"nothing can expect: {' '.join(words)}")

    # -- the machinery --------------------------------------------------------------------------------------------

    def _want(self, names: list[str]) -> bytes:
        wanted = [entry(name, SLOTS[name], origins=self.sites.get(name, ())) for name in names]
        gone = tuple(item.name for item in self._others() if item.name not in names)
        if relay_id("me") not in self.paper.relays:
            wanted.append(entry("me", 1))
        changed = [item for item in wanted if self.paper.relays.get(item.id) != item]
        delta = self.paper.put(*changed, remove=gone)
        self.messages.append(delta)
        self.rig.shelf.put_mesh(self.paper)
        return delta

    def _others(self) -> list[msgspec.Struct]:
        return [item for item in self.paper.relays.values() if item.id != relay_id("me")]

    def _listen(self) -> None:
        planes = self.rig.agent.reconciler._planes
        for name, plane in planes.items():
            planes[name] = Recorder(plane, self._note)

    def _note(self, operation: Operation, failed: bool) -> None:
        what = _describe(operation)
        if what is not None:
            verb = "put" if isinstance(operation, Update) else "delete"
            self.done.append(f"{verb} {what}" + ("!" if failed else ""))


def _describe(operation: Operation) -> str | None:
    """`peer a`, `route clients b`; the host's own pieces as `host <plane>`."""
    value = operation.want if isinstance(operation, Update) else operation.have
    by_slot = {slot: name for name, slot in SLOTS.items()}
    match operation.plane:
        case plane if plane == PEERS:
            keys = {key_of(name).public(): f"peer {name}" for name in NAMES}
            keys |= {key_of(name, "client").public(): f"client {name}" for name in "xyz"}
            return keys[value.key]
        case plane if plane == LINKS:
            return f"link {by_slot[int(value.name.removeprefix('altl'))]}"
        case plane if plane in (ADDRESSES, NEIGHBOURS) and value.device.startswith("altl"):
            kind = {ADDRESSES: "address", NEIGHBOURS: "neighbour"}[operation.plane]
            return f"{kind} {by_slot[int(value.device.removeprefix('altl'))]}"
        case plane if plane == ROUTES:
            for slot, name in by_slot.items():
                if value.prefix == PLAN.client_prefix(slot):
                    return f"route clients {name}"
                if value.prefix.network_address == PLAN.relay_address(slot):
                    return f"route overlay {name}"
                if value.prefix.network_address == PLAN.locator(slot):
                    return f"route locator {name}"
                if value.device == f"altl{slot}":
                    return f"route {value.prefix} {name}"
            return "host routes"
        case plane if plane in (ADDRESSES, DEVICES, FIREWALL, FORWARDING):
            return f"host {operation.plane}"
    return None


def _operations(text: str) -> set[str]:
    if text == "none":
        return set()
    found: set[str] = set()
    for part in text.split(","):
        verb, what, *rest = part.split()
        if what == "all":
            (name,) = rest
            found |= {f"{verb} {kind} {name}" for kind in ALL}
        elif what == "host" and not rest:
            found |= {f"{verb} host {plane}" for plane in (ADDRESSES, DEVICES, FIREWALL, FORWARDING, ROUTES)}
        else:
            found.add(" ".join([verb, what, *rest]))
    return found


def _document(fields: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in fields:
        name, _, value = field.partition("=")
        names = [part for part in value.split(",") if part]
        match name:
            case "links":
                found["links"] = tuple(sorted(relay_id(part) for part in names))
            case "clients":
                made = [client(part, f"{PLAN.client_prefix(1)[ord(part)]}/128") for part in sorted(names)]
                found["clients"] = tuple(made)
            case "port":
                found["mesh_port"] = int(value)
            case "revoked":
                found["revoked"] = True
            case _:
                raise Failed(f"a document has no {name}")
    return found


def _state(health: str) -> str:
    for word in ("ok", "revoked", "waiting"):
        if health.startswith(word):
            return word
    return "degraded"


def _names(words: list[str]) -> list[str]:
    return [] if words == ["none"] else sorted(words)


def _equal(what: str, seen: object, wanted: object) -> None:
    if seen != wanted:
        raise Failed(f"{what}: {seen!r}, expected {wanted!r}")


_VERBS: dict[str, Callable[[Story, list[str]], Awaitable[None]]] = {
    "registry": Story.registry,
    "agent": Story.agent,
    "host": Story.host,
    "kernel": Story.kernel,
    "somebody": Story.somebody,
    "nft": Story.nft,
    "clock": Story.clock,
    "expect": Story.expect,
}


def play(path: Path) -> None:
    """Play one script to its end. Raises `Failed` with the line."""
    asyncio.run(Story().play(path.read_text(), where=path.name))
