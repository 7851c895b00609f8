"""The planner's hands: reads accepted changes, keeps world and plan in memory, records what it planned, and publishes.

The order makes every crash harmless: first Postgres knows the new generation, then the snapshot is stored, then the
delta is sent. What Postgres knows and the bus does not is put again: at reconnect, each minute, and at a start.

Invariant: a generation comes from a change's number and from nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog
from altnet.common.bus import desired, streams
from altnet.common.bus.connect import Bus
from altnet.common.bus.subjects import MESH_BUCKET, RELAY_BUCKET, mesh_delta_key, mesh_snapshot_key
from altnet.common.clock import Clock
from altnet.common.contracts.desired import MeshDelta, pack
from altnet.common.contracts.registry import PlanRenumbered
from altnet.common.contracts.routing import Peering
from altnet.common.db.engine import Database
from altnet.registry.domain.planner import Difference, MeshDifference, Plan, plan, replan, stamp
from altnet.registry.domain.receipts import DOCUMENT, MESH
from altnet.registry.domain.world import Affected, Ref, World
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.jobs.pulse import Known
from altnet.registry.settings import PlanningSettings
from altnet.registry.store import changes as change_rows
from altnet.registry.store import worlds
from altnet.registry.store.worlds import Loaded, PlannedChange, Unplanned

_log = structlog.get_logger("altnet.registry.planning")

ACTOR = "registry"
AT_ONCE = 64
"""Documents looked up at once."""


class Planning:
    """World and plan of this replica while it leads."""

    def __init__(
        self, db: Database, bus: Bus, clock: Clock, *, settings: PlanningSettings, convergence: Convergence
    ) -> None:
        self._db = db
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._convergence = convergence
        self.world = World(full_mesh_up_to=settings.full_mesh_up_to)
        self.plan = Plan()
        self.newest = 0
        """Number of the newest change that is planned."""
        self._meshes_to_put: dict[str, MeshDelta | None] = {}
        self._documents_to_put: set[str] = set()
        self._documents_to_delete: set[str] = set()

    def known(self, relay: str) -> Known | None:
        """Name and heartbeat interval of a relay that is in the network."""
        found = self.world.relays.get(relay)
        if found is None or found.revoked:
            return None
        network = self.world.networks.get(found.network)
        return Known(found.name, network.settings.heartbeat if network else 5.0)

    def peerings(self, relay: str) -> dict[str, Peering]:
        """The peerings of a relay that is in the network, by id."""
        if not self.world.peerings_of.get(relay) or self.known(relay) is None:
            return {}
        return {told.id: told for told in self.world.sessions(relay)}

    async def begin(self) -> None:
        """Load everything, plan it, and give what differs from the record a new generation."""
        loaded = await worlds.load_all(self._db)
        self.world = World(full_mesh_up_to=self._settings.full_mesh_up_to)
        for item in loaded.items.values():
            if item is not None:
                self.world.put(item)
        self.plan = plan(self.world)
        different, gone = self._compare(loaded)
        number = loaded.newest
        waiting = loaded.changes
        if (different.meshes or different.documents) and not waiting:
            waiting = [await self._renumber()]
            number = waiting[-1].number
        stamp(self.plan, meshes=different.meshes, documents=different.documents, generation=number)
        parts = {change.number: (set(different.meshes), set(different.documents)) for change in waiting}
        self._convergence.begin()
        self._expect(self.plan.meshes, self.plan.documents)
        await self._record(waiting, parts, different, gone)
        self.newest = max(number, loaded.newest)
        await self._convergence.restore(
            {network: frozenset(mesh.entries) for network, mesh in self.plan.meshes.items()},
            frozenset(relay.id for relay in self.world.relays.values() if not relay.revoked),
        )
        self._meshes_to_put = dict.fromkeys(different.meshes)
        self._documents_to_put = set(different.documents)
        self._documents_to_delete = set(gone)
        _log.info(
            "plan_loaded", relays=len(self.world.relays), clients=len(self.world.clients), newest_change=self.newest
        )

    async def step(self) -> bool:
        """Plan the changes that wait, as one batch. False if there were none."""
        loaded = await worlds.load_changes(self._db, limit=self._settings.largest_batch)
        if not loaded.changes:
            return False
        affected: dict[Ref, Affected] = {}
        total = Affected()
        for ref, item in loaded.items.items():
            affected[ref] = self.world.remove(ref) if item is None else self.world.put(item)
            total.update(affected[ref])
        difference = replan(self.world, self.plan, total)
        parts = {}
        before = {network: self.plan.meshes[network].generation for network in difference.meshes}
        for change in loaded.changes:
            together = Affected()
            for ref in change.touched:
                together.update(affected[ref])
            meshes, documents = difference.concerns(together)
            stamp(self.plan, meshes=meshes, documents=documents, generation=change.number)
            parts[change.number] = (meshes, documents)
        self._expect(difference.meshes, difference.documents)
        await self._record(loaded.changes, parts, difference, difference.gone)
        self.newest = loaded.newest
        for kind, identifier in loaded.items:
            if kind == "relay" and self.known(identifier) is None:
                self._convergence.forget(identifier)
        for network, mesh in difference.meshes.items():
            # Two unsent deltas do not add up to one; then readers are only told that there is something to fetch.
            fresh = network not in self._meshes_to_put
            self._meshes_to_put[network] = (
                mesh.delta(self.plan.meshes[network], prev=before[network]) if fresh else None
            )
        self._documents_to_put |= difference.documents
        self._documents_to_delete |= difference.gone
        return True

    async def publish(self) -> None:
        """Put what was planned and not put yet: snapshots with their deltas, then private documents.

        Raises `Unavailable`; what was not put stays to be put.
        """
        for network in list(self._meshes_to_put):
            await self._put_mesh(network)
        if self._documents_to_put:
            generations = {
                relay: self.plan.documents[relay].generation
                for relay in sorted(self._documents_to_put)
                if relay in self.plan.documents
            }
            data = [(relay, pack(self.plan.documents[relay].document())) for relay in generations]
            self._documents_to_put &= generations.keys()
            if data:
                await desired.put_all(self._bus, RELAY_BUCKET, data, timeout=self._settings.put_timeout)
            self._documents_to_put.clear()
        for relay in sorted(self._documents_to_delete):
            await desired.delete(self._bus, RELAY_BUCKET, relay, timeout=self._settings.put_timeout)
            self._documents_to_delete.discard(relay)

    @property
    def behind(self) -> int:
        """Documents that are planned and not on the bus."""
        return len(self._meshes_to_put) + len(self._documents_to_put) + len(self._documents_to_delete)

    async def verify(self, *, everything: bool = False) -> int:
        """Compare the buckets with the plan and mark what is missing or different; answers how many.

        `everything` marks all of it without looking: for buckets that cannot be trusted.
        """
        await streams.ensure_streams(self._bus)
        marked = self.behind
        for network, mesh in self.plan.meshes.items():
            if network not in self._meshes_to_put and (
                everything or await self._stored(MESH_BUCKET, mesh_snapshot_key(network)) != pack(mesh.snapshot())
            ):
                self._meshes_to_put[network] = None

        async def look(relay: str) -> None:
            document = self.plan.documents[relay].document()
            if everything or await self._stored(RELAY_BUCKET, relay) != pack(document):
                self._documents_to_put.add(relay)

        await self._each(sorted(self.plan.documents.keys() - self._documents_to_put), look)
        found = self.behind - marked
        if found:
            _log.warning("desired_state_differs_on_the_bus", documents=found)
        return found

    async def _stored(self, bucket: str, key: str) -> bytes | None:
        return await desired.fetch(self._bus, bucket, key, timeout=self._settings.put_timeout)

    async def _put_mesh(self, network: str) -> None:
        mesh = self.plan.meshes[network]
        delta = self._meshes_to_put[network]
        if delta is None or delta.generation != mesh.generation:
            # Leads from nowhere: whoever has an older generation fetches the snapshot.
            delta = MeshDelta(network=network, prev=mesh.generation, generation=mesh.generation)
        self._meshes_to_put[network] = None  # after a failure nobody knows whether the delta went out
        await desired.put_all(
            self._bus,
            MESH_BUCKET,
            [(mesh_snapshot_key(network), pack(mesh.snapshot())), (mesh_delta_key(network), pack(delta))],
            timeout=self._settings.put_timeout,
        )
        del self._meshes_to_put[network]

    async def _each(self, relays: Iterable[str], action: Callable[[str], Awaitable[None]]) -> None:
        """`action` for each, some at once; the first failure ends it, and is raised as itself."""
        waiting = list(reversed(list(relays)))

        async def work() -> None:
            while waiting:
                await action(waiting.pop())

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(waiting))):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _compare(self, loaded: Loaded) -> tuple[Difference, set[str]]:
        """Take over the recorded generation of every document whose content is as recorded; name the others."""
        difference = Difference()
        for network, mesh in self.plan.meshes.items():
            stored = loaded.documents.get(("mesh", network))
            if stored is not None:
                mesh.generation = stored.generation
            if stored is None or stored.digest != mesh.digest.text:
                difference.meshes[network] = MeshDifference(settings=True)
        for relay, document in self.plan.documents.items():
            stored = loaded.documents.get(("relay", relay))
            if stored is not None:
                document.generation = stored.generation
            if stored is None or stored.digest != document.digest.text:
                difference.documents.add(relay)
        gone = {owner for kind, owner in loaded.documents if kind == "relay" and owner not in self.plan.documents}
        return difference, gone

    async def _renumber(self) -> Unplanned:
        reason = "documents differ from their record without a change"
        async with self._db.transaction(actor=ACTOR) as uow:
            number = await change_rows.record(
                uow,
                lambda number: PlanRenumbered(reason=reason, change=number),
                touched=[],
                summary=reason,
                network=None,
            )
        return Unplanned(number, uow.now, ())

    async def _record(
        self,
        waiting: Iterable[Unplanned],
        parts: dict[int, tuple[set[str], set[str]]],
        difference: Difference,
        gone: Iterable[str],
    ) -> None:
        planned, opened = [], []
        for change in waiting:
            networks, relays = parts[change.number]
            concerned = self._concerned(networks, relays)
            opened.append((change, concerned))
            planned.append(
                PlannedChange(
                    number=change.number,
                    mesh=bool(networks),
                    documents=tuple(sorted(relays)),
                    concerned=len(concerned),
                )
            )
        documents: list[tuple[str, str, int, str]] = []
        for network in difference.meshes:
            mesh = self.plan.meshes[network]
            documents.append(("mesh", network, mesh.generation, mesh.digest.text))
        for relay in difference.documents:
            private = self.plan.documents[relay]
            documents.append(("relay", relay, private.generation, private.digest.text))
        await worlds.record_plan(self._db, at=self._clock.now(), changes=planned, documents=documents, gone=gone)
        for change, concerned in opened:
            self._convergence.opened(change.number, change.at, concerned)
        await self._convergence.announce()

    def _concerned(self, meshes: set[str], documents: set[str]) -> dict[str, int]:
        parts: dict[str, int] = {}
        for network in meshes:
            parts.update(dict.fromkeys(self.plan.meshes[network].entries, MESH))
        for relay in documents:
            if self.known(relay) is not None:
                parts[relay] = parts.get(relay, 0) | DOCUMENT
        return parts

    def _expect(self, meshes: Iterable[str], documents: Iterable[str]) -> None:
        tracker = self._convergence.tracker
        for network in meshes:
            mesh = self.plan.meshes[network]
            tracker.expect_mesh(network, mesh.generation, mesh.digest.text)
        for relay in documents:
            document = self.plan.documents[relay]
            if self.known(relay) is not None:
                tracker.expect_document(
                    relay, self.world.relays[relay].network, document.generation, document.digest.text
                )
