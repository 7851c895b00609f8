"""What the lab asks of the registry: a few calls over the generated client, as `altnet relays …` makes them.

Every call opens a connection of its own: between two of them a control plane may have died and come back. Invariant:
nothing here knows more than the published API tells.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from altnet.common.errors import Unavailable
from altnet.host.operator import api as operator
from altnet_sdk.api.changes import get_change
from altnet_sdk.api.clients import (
    change_client,
    change_client_key,
    create_client,
    get_client_config,
    keep_client_key,
    list_clients,
)
from altnet_sdk.api.identities import list_identities
from altnet_sdk.api.mesh import list_mesh
from altnet_sdk.api.networks import change_network, list_networks
from altnet_sdk.api.relays import change_relay, list_relays
from altnet_sdk.api.revocations import revoke
from altnet_sdk.api.rotations import (
    get_rotation,
    list_rotations,
    pause_rotation,
    resume_rotation,
    roll_back_rotation,
    start_all_rotations,
    start_rotation,
)
from altnet_sdk.api.tokens import create_join_token
from altnet_sdk.models.change import Change
from altnet_sdk.models.client_made import ClientMade
from altnet_sdk.models.client_new import ClientNew
from altnet_sdk.models.client_patch import ClientPatch
from altnet_sdk.models.join_token_new import JoinTokenNew
from altnet_sdk.models.kept_key import KeptKey
from altnet_sdk.models.key_change import KeyChange
from altnet_sdk.models.mesh_relay import MeshRelay
from altnet_sdk.models.network_client import NetworkClient
from altnet_sdk.models.network_patch import NetworkPatch
from altnet_sdk.models.relay import Relay
from altnet_sdk.models.relay_patch import RelayPatch
from altnet_sdk.models.revocation import Revocation
from altnet_sdk.models.revocation_new import RevocationNew
from altnet_sdk.models.rotation import Rotation
from altnet_sdk.models.rotation_start import RotationStart
from altnet_sdk.models.rotations_start import RotationsStart
from altnet_sdk.models.token_kind import TokenKind


@dataclass(frozen=True, kw_only=True)
class Api:
    """The registry at `url`, as the owner of `token`. Every call raises the error that the API answers with."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Api(url={self.url!r})"

    def join_token(self, *, uses: int, kind: TokenKind = "relay") -> str:
        """A secret with which that many relays may enrol, or clients join."""
        with self._open() as api:
            body = JoinTokenNew(uses=uses, note="lab", kind=kind)
            return str(api.ask(create_join_token.sync_detailed, body=body).secret)

    def relays(self) -> list[Relay]:
        """All relays, by name."""
        with self._open() as api:
            return sorted(api.each(list_relays.sync_detailed), key=lambda relay: str(relay.name))

    def change_state(self, name: str, state: str) -> str:
        """Give a relay another state, by its name; returns the state that it has then."""
        with self._open() as api:
            found = api.find(list_relays.sync_detailed, name, kind="relay")
            body = RelayPatch.from_dict({"state": state})
            changed = api.ask(change_relay.sync_detailed, found.id, body=body, if_match=operator.etag(found.version))
            return str(changed.state)

    def change_settings(self, **settings: float) -> None:
        """Change what holds for every relay of the lab's network."""
        with self._open() as api:
            found = next(iter(api.each(list_networks.sync_detailed)))
            body = NetworkPatch.from_dict({"settings": settings})
            api.ask(change_network.sync_detailed, found.id, body=body, if_match=operator.etag(found.version))

    def mesh(self) -> list[MeshRelay]:
        """Desired and applied, for each relay."""
        with self._open() as api:
            return list(api.each(list_mesh.sync_detailed))

    def client(self, name: str) -> NetworkClient | None:
        with self._open() as api:
            return next(api.each(list_clients.sync_detailed, name=name), None)

    def create_client(self, *, name: str, key: str, relay: str) -> ClientMade:
        """A client that keeps its private key; `relay` is the id of the relay it attaches to, or `auto`."""
        with self._open() as api:
            body = ClientNew(name=name, key=key, relay=relay)
            made: ClientMade = api.ask(create_client.sync_detailed, body=body)
            return made

    def stand_by_automatically(self, name: str) -> NetworkClient:
        """Have the registry choose a client another standby relay."""
        with self._open() as api:
            found = api.find(list_clients.sync_detailed, name, kind="client")
            body = ClientPatch.from_dict({"standby": "auto"})
            changed: NetworkClient = api.ask(
                change_client.sync_detailed, found.id, body=body, if_match=operator.etag(found.version)
            )
            return changed

    def change_key(self, client: str, *, key: str | None = None) -> NetworkClient:
        """Have a client change its key; with `key`, announce that one for a client whose program cannot."""
        with self._open() as api:
            body = KeyChange.from_dict({"key": key})
            found: NetworkClient = api.ask(change_client_key.sync_detailed, client, body=body)
            return found

    def keep_key(self, client: str, key: str) -> NetworkClient:
        """A client's key of before is out at once."""
        with self._open() as api:
            found: NetworkClient = api.ask(keep_client_key.sync_detailed, client, body=KeptKey(key=key))
            return found

    def client_config(self, client: str) -> str:
        """The wg-quick file; its PrivateKey line is the caller's to fill."""
        with self._open() as api:
            return str(api.ask(get_client_config.sync_detailed, client))

    def change(self, number: int, *, wait: float) -> Change:
        """How far a change has got, after waiting up to `wait` seconds until it is applied."""
        with self._open() as api:
            found: Change = api.ask(get_change.sync_detailed, number, wait="applied", timeout=wait)
            return found

    def proven(self) -> int:
        """How many hosts have a proven identity."""
        with self._open() as api:
            return len(list(api.each(list_identities.sync_detailed, state="active")))

    def rotate(self, *, kind: str = "mesh", **plan: float | str) -> Rotation:
        """Start a rotation of every key of a kind."""
        with self._open() as api:
            body = RotationStart.from_dict({"reason": "lab", "kind": kind, "plan": plan})
            found: Rotation = api.ask(start_rotation.sync_detailed, body=body)
            return found

    def rotate_all(self, **plan: float | str) -> dict[str, Rotation]:
        """Start a rotation of every key of every kind; by kind."""
        with self._open() as api:
            body = RotationsStart.from_dict({"reason": "lab", "plan": plan})
            opened = api.ask(start_all_rotations.sync_detailed, body=body).rotations
            return {str(one.kind): one for one in opened}

    def rotation(self, id: str) -> Rotation:
        with self._open() as api:
            found: Rotation = api.ask(get_rotation.sync_detailed, id)
            return found

    def rotations(self) -> list[Rotation]:
        """Newest first."""
        with self._open() as api:
            return list(api.each(list_rotations.sync_detailed))

    def revoke(self, **what: str) -> Revocation:
        """Put something out for good: `relay`, `client`, `key`, …, and a `reason`."""
        with self._open() as api:
            done: Revocation = api.ask(revoke.sync_detailed, body=RevocationNew.from_dict(what))
            return done

    def steer_rotation(self, id: str, verb: str) -> Rotation:
        """`pause`, `resume` or `rollback`."""
        verbs = {"pause": pause_rotation, "resume": resume_rotation, "rollback": roll_back_rotation}
        with self._open() as api:
            found: Rotation = api.ask(verbs[verb].sync_detailed, id)
            return found

    @contextlib.contextmanager
    def _open(self) -> Iterator[operator.Api]:
        api = operator.Api(operator.Place(url=self.url, token=self.token))
        with api.client:
            yield api


def eventually(
    ask: Callable[[], bool], *, timeout: float, poll: float, what: str, describe: Callable[[], str] = str
) -> float:
    """Ask until the answer is yes; returns the seconds it took. An API that is away counts as no.

    Raises `Unavailable` (`not_in_time`) with what is missing.
    """
    began = time.monotonic()
    last = ""
    while True:
        try:
            if ask():
                return time.monotonic() - began
        except Unavailable as error:
            last = f" ({error})"
        if time.monotonic() - began > timeout:
            raise Unavailable("not_in_time", f"{what}: not within {timeout:g} s. {describe()}{last}".strip())
        time.sleep(poll)
