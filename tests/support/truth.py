"""What Postgres says that every relay should hold, computed by the pure planner from nothing, and who differs.

Reads with the registry's own role. Independent of everything that the running registry keeps in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from altnet.common.clock import SystemClock
from altnet.common.db.engine import Database
from altnet.common.db.settings import DatabaseSettings
from altnet.host.hosting import database_settings
from altnet.host.secrets import SecretsDir
from altnet.registry.domain.planner import plan
from altnet.registry.domain.world import World
from altnet.registry.settings import PlanningSettings
from altnet.registry.store import worlds

from support.control_plane import ControlPlane


@dataclass
class Truth:
    """Digests by relay, and what is recorded of changes."""

    newest: int
    """Number of the last accepted change."""
    mesh: dict[str, str] = field(default_factory=dict)
    document: dict[str, str] = field(default_factory=dict)
    unplanned: int = 0

    def differing(self, held: dict[str, dict[str, Any]]) -> list[str]:
        """Why which relays of the swarm are not as they should be; empty if all are."""
        found = []
        for relay, one in held.items():
            if not one.get("running"):
                found.append(f"{relay} does not run")
            elif one["mesh"][1] != self.mesh.get(relay):
                found.append(f"{relay}: mesh {one['mesh']} is not {self.mesh.get(relay)}")
            elif one["document"][1] != self.document.get(relay):
                found.append(f"{relay}: document {one['document']} is not {self.document.get(relay)}")
        return found


async def read_truth(control: ControlPlane) -> Truth:
    """Load everything and plan it anew."""
    place = msgspec.convert(control.facts["database"] | {"user": "nobody"}, DatabaseSettings)
    settings = database_settings(place, SecretsDir(control.data / "secrets"), "registry")
    async with Database(settings, schema="registry", clock=SystemClock()) as database:
        loaded = await worlds.load_all(database)
    world = World(full_mesh_up_to=PlanningSettings().full_mesh_up_to)
    for item in loaded.items.values():
        if item is not None:
            world.put(item)
    planned = plan(world)
    truth = Truth(newest=loaded.newest, unplanned=len(loaded.changes))
    for relay, document in planned.documents.items():
        mesh = planned.meshes.get(world.relays[relay].network)
        truth.mesh[relay] = mesh.digest.text if mesh is not None else ""
        truth.document[relay] = document.digest.text
    return truth
