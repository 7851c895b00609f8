"""One agent, put together: documents in, host as wanted, reports out.

Everything that touches the world is a parameter, so that the same agent runs on a relay or a thousand times in one
process. `main.py` gives it the real world.

Invariant: what the disk cache holds is applied without any message from outside, after a bounded wait for newer ones.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any

import msgspec
from altnet.common import log
from altnet.common.bus import rpc, subjects
from altnet.common.bus.connect import Bus
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Applied, Failure, HostStatus, Versions
from altnet.common.contracts.desired import DOORS, KeyStage, RelayDocument, RelayEntry, access_device
from altnet.common.contracts.routing import LEARNED, ROUTES, Engine, Peering, RouteQuery
from altnet.common.errors import AltnetError
from altnet.common.kernel.wireguard import Endpoint, PeerState, PresharedKey
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.lock.certificates import WgUse
from altnet.common.net import AddressPlan
from altnet.relay_agent.access import Access
from altnet.relay_agent.access_rotation import Access as AccessSeen
from altnet.relay_agent.access_rotation import AccessRotation, news_of
from altnet.relay_agent.attachments import Attachments
from altnet.relay_agent.bird.answers import Routing
from altnet.relay_agent.bird.daemon import STATIC, Daemon, Found, Times
from altnet.relay_agent.bird.kernel import BirdRoutes
from altnet.relay_agent.bird.neighbours import open_password
from altnet.relay_agent.bird.watch import Watch
from altnet.relay_agent.carriers import Carriers
from altnet.relay_agent.desired import Decode, Desired
from altnet.relay_agent.enrol import Registry
from altnet.relay_agent.epochs import pair, roles
from altnet.relay_agent.feed import BusDocuments, Documents, Feed
from altnet.relay_agent.host import Host
from altnet.relay_agent.journal import Journal
from altnet.relay_agent.keyd import KeydContact
from altnet.relay_agent.lock.accepted import Accepted
from altnet.relay_agent.lock.keeper import LockKeeper
from altnet.relay_agent.lock.memory import open_book
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.news import hear_first
from altnet.relay_agent.pieces import HOST, PEERS, Key, Names, Piece
from altnet.relay_agent.planes import Plane
from altnet.relay_agent.planes.addresses import AddressesPlane, NeighboursPlane
from altnet.relay_agent.planes.firewall import FirewallPlane
from altnet.relay_agent.planes.forwarding import ForwardingPlane
from altnet.relay_agent.planes.links import LinksPlane
from altnet.relay_agent.planes.routes import RoutesPlane
from altnet.relay_agent.planes.routing import RoutingPlane
from altnet.relay_agent.planes.wireguard import DevicesPlane, PeersPlane
from altnet.relay_agent.poke import Poker
from altnet.relay_agent.probe import Link, NoProber, Prober, Round
from altnet.relay_agent.psk.keeper import Keeper
from altnet.relay_agent.reconcile import NAMED_FAILURES, Reconciler
from altnet.relay_agent.remembered import Remembered
from altnet.relay_agent.report import Outlet, Reporter
from altnet.relay_agent.rotation import Rotation, Seen
from altnet.relay_agent.security import SecurityLog
from altnet.relay_agent.settings import AgentSettings
from altnet.relay_agent.state import Identity, State
from altnet.relay_agent.status import AgentStatus
from altnet.relay_agent.view import known_key, neighbours
from altnet.relay_agent.wanted import Self, Wanted

_log = log.get(__name__)


class Agent:
    """The agent of one relay. `run()` until cancelled; or, step by step, `start()` and `reconciler.step()`."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        host: Host,
        state: State,
        membership: Membership,
        clock: Clock,
        random: Callable[[], float],
        versions: Versions,
        boot: str,
        bus: Bus | None = None,
        documents: Documents | None = None,
        outlet: Outlet | None = None,
        registry: Registry | None = None,
        endpoints: tuple[str, ...] = (),
        prober: Callable[[Callable[[], Round | None]], Prober] | None = None,
        decode: Decode | None = None,
        poke: bool = True,
        listen: bool = False,
        host_status: Callable[[], HostStatus] = HostStatus,
        found: Found = STATIC,
    ) -> None:
        """`bus` gives documents, takes reports and is renewed; `documents` and `outlet` stand in for parts of it.

        `poke` off leaves silent peers alone: for hosts in memory, where nobody shakes hands. `listen` opens the port
        where clients say that they are attached. `boot` is random. `found` is the routing engine of this host.
        """
        enrolment = membership.enrolment
        timers = settings.timers
        self._settings = settings
        self._membership = membership
        self._clock = clock
        self._random = random
        self._bus = bus
        self._registry = registry
        self._endpoints = endpoints
        self._versions = versions
        self._started = clock.monotonic()
        self.security = SecurityLog(state, clock=clock, random=random, timers=timers)
        self.keyd = KeydContact(
            state, membership, bus=bus, clock=clock, random=random, timers=timers, alarm=self.security.note
        )
        self.names = Names(prefix=settings.interface_prefix)
        self.heard = Desired(
            relay=enrolment.relay.id,
            network=enrolment.network.id,
            prefix=IPv6Network(enrolment.network.prefix),
            decode=decode,
        )
        memory = state.lock()
        book = open_book(memory, network=enrolment.network.id, pin=settings.lock_fingerprint)
        self.desired = Accepted(self.heard, book, memory)
        identity = membership.identity
        me = own_self(settings, identity, slot=enrolment.relay.slot, versions=versions, engine=found.engine)
        self.attachments = Attachments(
            lifetime=timers.attachment_lifetime, fresh_for=self._fresh_for, changed=self._attached
        )
        self.rotation = Rotation(
            state,
            self.desired,
            wireguard=host.wireguard,
            names=self.names,
            ports=self._mesh_ports,
            seen=self._seen,
            notice=lambda: self.reconciler.notice(),
            tell=self.keyd.tell if bus is not None else None,
            clock=clock,
            timers=timers,
            certify=lambda epoch, key: self.lock.certificate(use=WgUse.MESH, epoch=epoch, key=key),
            random=random,
        )
        self.lock = LockKeeper(
            state,
            book,
            self.desired,
            self.heard,
            bus=bus,
            identity=self.rotation.identity,
            tell=self.keyd.tell,
            met=lambda: self.keyd.standing is not None,
            notice=self._unlocked,
            clock=clock,
            random=random,
            timers=timers,
        )
        self.keyd.on_met = self.lock.wake
        self.preshared = Keeper(
            state,
            self.desired,
            identity,
            voice=bus,
            wireguard=host.wireguard,
            sessions=self._sessions_of,
            applied=self._preshared_applied,
            notice=lambda: self.reconciler.notice(),
            tell=self.keyd.tell if bus is not None else None,
            clock=clock,
            random=random,
            timers=timers,
        )
        self.access_rotation = AccessRotation(
            self.rotation,
            self.desired,
            seen=self._access_seen,
            notice=lambda: self.reconciler.notice(),
            tell=self.keyd.tell if bus is not None else None,
            clock=clock,
            timers=timers,
            certify=lambda epoch, key: self.lock.certificate(use=WgUse.ACCESS, epoch=epoch, key=key),
        )
        self.carriers = Carriers(
            host.wireguard,
            names=self.names,
            ways=self.access_rotation.several,
            clock=clock,
            timers=timers,
            changed=self._carried,
        )
        self.wanted = Wanted(
            self.desired,
            me,
            attached=lambda: self.attachments.attached,
            fresh=lambda: self.attachments.fresh,
            switched=self.rotation.switched,
            keys=self.rotation.keys,
            preshared=self.preshared.secrets,
            access=self.access_rotation.keys,
            carried=self.carriers.carried,
        )
        self.remembered = Remembered(
            state,
            wireguard=host.wireguard,
            devices=tuple(self.names.access_of(number) for number in range(4)),
            document=lambda: self.desired.document,
            attached=self.attachments.dump,
            clock=clock,
            timers=timers,
        )
        self._access = (
            Access(
                settings.attach_port,
                self.attachments,
                names=self.names,
                plan=AddressPlan(self.desired.prefix),
                slot=enrolment.relay.slot,
                document=lambda: self.desired.document,
                clock=clock,
                tick=timers.attachment_lifetime / 10,
                heard_by=self.carriers.heard,
                news=self._news_for,
            )
            if listen
            else None
        )
        self._told_of: RelayDocument | None = None
        self._news: dict[str, int] = {}
        self._wireguard = host.wireguard
        self._found = found
        password = partial(open_password, relay=enrolment.relay.id, key=identity.sealed_for)
        self.routing_plane = make_routing_plane(settings, host, found, password=password)
        self.poker = Poker(host.wireguard, clock=clock, random=random, timers=timers, enabled=poke)
        self._restarted = False
        self.reconciler = Reconciler(
            self.wanted,
            make_planes(
                settings,
                host,
                self.routing_plane,
                identity=self.rotation.identity,
                journal=Journal(state),
                poker=self.poker,
                made=self._device_made,
                last_endpoint=self.remembered.endpoint_of,
            ),
            clock=clock,
            random=random,
            timers=timers,
            applied=self._applied,
            compared=self._review,
        )
        self.prober: Prober = prober(self._probe_round) if prober is not None else NoProber()
        self.watch = Watch(
            self.routing_plane,
            quality=self.prober.quality,
            set_engine=self._set_engine,
            retire=host.bird_routes.retire,
            clock=clock,
            timers=timers,
            tries=settings.bird_tries,
            fixed=self._fixed_cost,
        )
        self.routing = Routing(
            self.routing_plane,
            self.watch,
            found,
            names=self.names,
            links=host.links,
            relays=lambda: {entry.slot: entry.id for entry in self.desired.entries.values()},
            clock=clock,
        )
        source = documents if documents is not None else BusDocuments(bus) if bus is not None else None
        self.feed = Feed(
            self.heard,
            state,
            source or _Silence(),
            clock=clock,
            random=random,
            timers=timers,
            notice=self._heard,
            alarm=self.security.note,
        )
        self.reporter = Reporter(
            self.desired,
            outlet or bus or _Silence(),
            wireguard=host.wireguard,
            prober=self.prober,
            names=self.names,
            boot=boot,
            clock=clock,
            random=random,
            timers=timers,
            versions=versions,
            applied=self.applied,
            health=self.health,
            host=host_status,
            device_lost=self.reconciler.compare_soon,
            routing=self.routing.status,
            attachments=self.attachments,
            session_of=self._session_of,
            preshared_age=self.preshared.age,
            access=lambda: self.wanted.context.access if self.wanted.context is not None else None,
        )

    async def start(self) -> None:
        """Hear what is new, if the bus is there within a bound, and apply it; else apply the disk cache."""
        self._restarted = self.feed.load()
        if await self._tunnels_are_up():
            self.attachments.adopt(self.remembered.attachments, now=self._clock.monotonic())
        await self.feed.start()
        await self.lock.start()
        if self._bus is not None and self.desired.complete:  # else there is nothing to bring back yet
            within = self._settings.timers.first_news
            await hear_first(self._bus, within=within, fetch=self._fetch_first, ask=self._ask_in_person)
        with contextlib.suppress(AltnetError):  # said by its task, which tries again
            await self.rotation.step()  # before anything is changed: links that go by the next keys stay there
            await self.access_rotation.step()
            await self.carriers.look()
        await self.reconciler.step()
        if self._bus is not None:
            self._bus.on_connect(self.reporter.on_connect)
            relay = self.desired.relay
            await self._bus.subscribe(subjects.all_pairs(self.desired.network, relay), self.preshared.hear)
            await rpc.answer_asks(self._bus, relay, ROUTES, RouteQuery, self.routing.routes)
            await rpc.answer_asks(self._bus, relay, LEARNED, RouteQuery, self.routing.learned)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Be the relay until cancelled. `ready` is called when the cache is applied."""
        await self.start()
        ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reconciler.run(), name="reconcile")
            group.create_task(self.feed.run(), name="feed")
            group.create_task(self.rotation.run(), name="rotate keys")
            group.create_task(self.lock.run(), name="network lock")
            group.create_task(self.preshared.run(), name="agree on keys")
            group.create_task(self.access_rotation.run(), name="rotate the access key")
            group.create_task(self.carriers.run(), name="follow clients")
            group.create_task(self.poker.run(), name="poke")
            group.create_task(self.prober.run(), name="probe")
            group.create_task(self.watch.run(), name="watch BIRD")
            group.create_task(self.remembered.run(), name="remember clients")
            if self._access is not None:
                group.create_task(self._access.run(), name="hear clients")
            group.create_task(self.reporter.run_acknowledgements(), name="acknowledge")
            group.create_task(self.reporter.run_heartbeats(), name="heartbeat")
            group.create_task(self.keyd.run(), name="keyd")
            if self._bus is not None:
                group.create_task(self.security.run(self.keyd.tell), name="tell security events")
            if self._registry is not None and self._bus is not None:
                renewing = self._membership.run(
                    self._registry,
                    self._bus,
                    endpoints=self._endpoints,
                    versions=lambda: self._versions,
                    timers=self._settings.timers,
                    random=self._random,
                    revoked=lambda: self.desired.revoked,
                    revoke=self.feed.revoke,
                )
                group.create_task(renewing, name="renew")

    async def _fetch_first(self) -> bool:
        """The documents, and the network lock, which says what of them counts: side by side, for time is short."""
        fetched, _ = await asyncio.gather(self.feed.fetch(), self.lock.hear())
        return fetched

    async def _ask_in_person(self) -> bool:
        """The bus refuses our pass: the registry says whether we are out. True if we are."""
        if self._registry is None or self._bus is None:
            return False
        if await self._membership.ask(self._registry, endpoints=self._endpoints, versions=self._versions):
            await self.feed.revoke()
            return True
        self._bus.reconnect()
        return False

    def health(self) -> str:
        """`ok`, or what is wrong in a few words."""
        if self.desired.revoked:
            return "revoked by the registry"
        if self.feed.broken:
            return f"document refused: {self.feed.broken}"[:500]
        if not self.desired.complete:
            return "waiting for the first documents"
        if self.lock.alarm:
            return f"network lock: {self.lock.alarm_text}"[:500]
        if refused := self.desired.refusals:
            return f"network lock: {len(refused)} not signed for, first {refused[0].object}: {refused[0].reason}"[:500]
        if not self.reconciler.settled and (applied := self.reconciler.applied()).failed_count:
            first = applied.failed[0]
            return f"{applied.failed_count} not applied, first {first.plane} {first.object}: {first.reason}"[:500]
        own = self.desired.entries.get(self.desired.relay)
        document = self.desired.document
        access = document.access if document is not None else None
        if not (roles(self.rotation.keys(), own).known and roles(self.access_rotation.keys(), access).known):
            return "the registry knows another key of this relay; enrol again"
        return self.routing.problem or "ok"

    def applied(self) -> Applied:
        """What the host holds, and what it was told and refuses."""
        applied, refused = self.reconciler.applied(), self.desired.refusals
        if not refused:
            return applied
        named = tuple(Failure(plane="lock", object=one.object, reason=one.reason) for one in refused)
        return msgspec.structs.replace(
            applied,
            failed=(*named, *applied.failed)[:NAMED_FAILURES],
            failed_count=applied.failed_count + len(refused),
        )

    async def status(self) -> AgentStatus:
        """How it goes, for the operator of this host."""
        enrolment, applied = self._membership.enrolment, self.applied()
        links, clients = await self.reporter.sessions()
        failure = self._bus.last_failure if self._bus is not None else None
        return AgentStatus(
            running=True,
            relay=enrolment.relay.id,
            name=enrolment.relay.name,
            slot=enrolment.relay.slot,
            address=enrolment.relay.address,
            network=enrolment.network.name,
            prefix=enrolment.network.prefix,
            health=self.health(),
            version=self._versions.agent,
            backend=self._versions.wireguard,
            bus_connected=self._bus is not None and self._bus.connected,
            bus_problem=str(failure) if failure is not None else "",
            revoked=self.desired.revoked,
            mesh_generation=self.desired.generation,
            document_generation=self.desired.document_generation,
            applied_mesh_generation=applied.mesh_generation,
            mesh_digest=applied.mesh_digest,
            document_digest=applied.document_digest,
            settled=self.reconciler.settled,
            failed=tuple(msgspec.to_builtins(failed) for failed in applied.failed),
            repaired=self.reconciler.repaired,
            waiting_for_handshake=self.poker.waiting,
            uptime=self._clock.monotonic() - self._started,
            links=links,
            clients=clients,
            routing=await self.routing.status(),
            lock=self.lock.words(),
            preshared=self.preshared.words(),
            rotation="; ".join(filter(None, (self.rotation.words(), self.access_rotation.words()))),
            **self.keyd.status(),
        )

    def _fixed_cost(self, relay: str) -> int | None:
        costs, known = self._settings.link_costs, self.desired.entries.get(relay)
        return costs.get(relay) or (costs.get(known.name) if known is not None else None)

    def _set_engine(self, engine: Engine) -> None:
        self.wanted.set_engine(engine)
        self.reconciler.notice()
        self._versions = msgspec.structs.replace(self._versions, routing=engine)
        self.reporter.tell(self._versions)
        self._membership.hurry()  # so that the registry, and by it our neighbours, know

    def _applied(self) -> None:
        self.reporter.acknowledge()
        self.rotation.wake()
        self.preshared.wake()
        self.access_rotation.wake()

    def _heard(self) -> None:
        self.reconciler.notice()
        self.rotation.wake()
        self.lock.wake()
        self.preshared.wake()
        self.access_rotation.wake()
        self.carriers.wake()

    def _unlocked(self) -> None:
        self.reconciler.notice()
        self.rotation.wake()
        self.preshared.wake()
        self.access_rotation.wake()
        self.carriers.wake()

    def _carried(self) -> None:
        self.reconciler.notice()
        self.access_rotation.wake()

    def _access_seen(self) -> AccessSeen:
        context = self.wanted.context
        return AccessSeen(
            generation=self.reconciler.applied().document_generation,
            roles=context.access if context is not None else None,
            carried=self.carriers.carried(),
            attached=self.attachments.attached,
            port=context.access_port if context is not None else self._settings.access_port,
            pending=any(task.owner == HOST for task in self.reconciler.tasks.values()),
        )

    def _news_for(self, client: str) -> int:
        document = self.desired.document
        if document is not self._told_of:
            self._told_of, self._news = document, {}
        if document is None:
            return 0
        if client not in self._news:
            found = next((one for one in document.clients if one.id == client), None)
            self._news[client] = news_of(document.access, found) if found is not None else 0
        return self._news[client]

    def _mesh_ports(self) -> tuple[int, int]:
        context = self.wanted.context
        return context.mesh_ports if context is not None else (self._settings.mesh_port, 0)

    def _seen(self) -> Seen:
        context = self.wanted.context
        return Seen(
            generation=self.reconciler.applied().mesh_generation,
            keys=context.keys if context is not None else None,
            switched=self.wanted.switched,
            pending=frozenset(task.owner for task in self.reconciler.tasks.values()),
        )

    def _sessions_of(self, entry: RelayEntry) -> list[tuple[str, PublicKey | None]]:
        context = self.wanted.context
        both = pair(context.keys, entry).sessions() if context is not None else []
        return [(self.names.mesh_of(session.device), known_key(session.key)) for session in both]

    def _preshared_applied(self, relay: str) -> PresharedKey | bool | None:
        """What the devices have for a neighbour; False while that is under way."""
        tasks = self.reconciler.tasks.values()
        if self.wanted.waiting or any(task.owner == relay and task.operation.plane == PEERS for task in tasks):
            return False
        return self.wanted.preshared_of(relay)

    def _session_of(self, entry: RelayEntry) -> tuple[str, PublicKey | None]:
        context = self.wanted.context
        if context is None:
            return self.names.mesh, known_key(entry.key)
        used = pair(context.keys, entry).used(entry.id in self.wanted.switched)
        return self.names.mesh_of(used.device), known_key(used.key)

    async def _tunnels_are_up(self) -> bool:
        """Whether clients may still be attached; else the host was down, and they have gone elsewhere since.

        Where that cannot be found out they may: who is not any more is let go in a few seconds.
        """
        try:
            async with asyncio.timeout(self._settings.timers.kernel_timeout):
                there = await self._wireguard.list()
                return any(self.names.access_number(name) is not None for name in there)
        except (AltnetError, TimeoutError):
            return True

    def _fresh_for(self) -> float:
        """Until nobody can have a route left to where a client was before: that of a dead relay lasts longest, and one
        that lives has let go of a silent client by then."""
        return self.desired.settings.restart_time + 2 * self._settings.timers.attachment_lifetime

    def _attached(self) -> None:
        self.reconciler.notice()
        self.remembered.note()

    def _device_made(self, name: str) -> None:
        context = self.wanted.context
        if not self._restarted or context is None:
            return
        keys = context.keys
        lost = {self.names.mesh_of(keys.device)}
        if keys.next is not None and keys.next.stage in (KeyStage.OPEN, KeyStage.BACK):
            lost.add(self.names.mesh_of(keys.next.device))  # in use, so it was there before
        if name in lost:
            self.poker.hurry(name)

    def _review(self, pieces: Sequence[Piece], have: Mapping[str, Mapping[Key, Any]]) -> None:
        peers = have.get(PEERS, {})
        for piece in pieces:
            if piece.plane == PEERS and isinstance(found := peers.get(piece.key), PeerState):
                self.poker.review(piece.value, found)

    def _probe_round(self) -> Round | None:
        context, document = self.wanted.context, self.desired.document
        if context is None or document is None or document.revoked:
            return None
        links = tuple(
            Link(neighbour=entry.id, name=self.names.link(entry.slot), slot=entry.slot)
            for entry in neighbours(document, self.desired.entries)
        )
        return Round(links=links, own_slot=context.slot, interval=self.desired.settings.probe)


def own_self(
    settings: AgentSettings, identity: Identity, *, slot: int, versions: Versions, engine: Engine = Engine.STATIC
) -> Self:
    """What the agent knows of its host before any document."""
    return Self(
        slot=slot,
        mesh_key=identity.mesh.public(),
        access_key=identity.access.public(),
        names=Names(prefix=settings.interface_prefix),
        second_mesh_port=settings.second_mesh_port,
        link_port=settings.link_port,
        probe_port=settings.probe_port,
        attach_port=settings.attach_port,
        firewall=settings.firewall,
        encapsulations=versions.encapsulations,
        engine=engine,
        origin_table=settings.origin_table,
    )


def make_routing_plane(
    settings: AgentSettings,
    host: Host,
    found: Found,
    *,
    trust: bool = False,
    password: Callable[[Peering], str] = lambda _peering: "",
) -> RoutingPlane:
    """The plane of BIRD. One that this host had before it was unwanted, or uninstalled, is still ended by it."""
    timers = settings.timers
    times = Times(ask=timers.bird_timeout, start=timers.bird_start, confirm=timers.bird_confirm)
    daemon = Daemon(found.program or settings.bird_program, Path(settings.bird_dir), times=times)
    return RoutingPlane(
        # A host in memory has no directory of its own, and the real host's BIRD is not its business.
        daemon if isinstance(host.bird_routes, BirdRoutes) else None,
        usable=found.engine is Engine.BIRD,
        flush=host.bird_routes.flush,
        has_routes=host.bird_routes.there,
        stand_in=host.bird_routes.stand_in,
        settle=timers.bird_settle,
        trust=trust,
        password=password,
    )


def make_planes(
    settings: AgentSettings,
    host: Host,
    routing: RoutingPlane,
    *,
    identity: Callable[[], Identity],
    journal: Journal,
    poker: Poker,
    made: Callable[[str], None] = lambda _name: None,
    trust: bool = False,
    last_endpoint: Callable[[PublicKey], Endpoint | None] = lambda _key: None,
) -> list[Plane]:
    """Every plane, over one host."""
    names = Names(prefix=settings.interface_prefix)

    def keys(name: str) -> PrivateKey | None:
        held = identity()
        return {
            names.mesh_of(held.mesh_device): held.mesh,
            names.mesh_of(1 - held.mesh_device): held.next_mesh,
            **{names.access_of(access_device(held.access_device, door)): held.access for door in range(DOORS)},
            **{names.access_of(access_device(1 - held.access_device, door)): held.next_access for door in range(DOORS)},
        }.get(name)

    return [
        ForwardingPlane(host.links, names, journal, trust=trust),
        FirewallPlane(host.tables, settings.firewall_table, trust=trust),
        DevicesPlane(host.wireguard, host.links, names, keys, made=made),
        PeersPlane(host.wireguard, names, poker, last_endpoint=last_endpoint),
        LinksPlane(host.links, names),
        AddressesPlane(host.links, names, journal),
        NeighboursPlane(host.links, names),
        RoutesPlane(host.links, origin_table=settings.origin_table),
        routing,
    ]


class _Silence:
    """No bus at all: the agent lives from its cache."""

    connected = False

    async def fetch(self, bucket: str, key: str, *, timeout: float) -> bytes | None:
        return None

    async def subscribe(self, bucket: str, key: str, on_data: object) -> None:
        pass

    def on_connect(self, callback: object) -> None:
        pass

    async def publish(self, subject: str, payload: bytes) -> None:
        pass
