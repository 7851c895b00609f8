"""Our own key gives way to another one: made here, announced with a proof, used, and only then the only one.

What to do follows from the registry's configuration, the disk and the tunnel, so a kill at any step goes on where it
was:

    wished       make a key, keep it on the disk, announce it (contracts.client_keys)
    announced    the tunnel moves to it by itself (shift.py); when it has settled there, tell the registry
    kept         the configuration has it as our key: the one of before is forgotten
    dropped      it has neither: the tunnel returns, then it is forgotten

Leaves out when to ask (main.py). Invariant: a private key is forgotten only when neither the registry nor the tunnel
goes by it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from altnet.client.registry import Registry
from altnet.client.state import DiskState, Identity, Membership
from altnet.common import log
from altnet.common.contracts.client import ClientConfig, KeyWish
from altnet.common.contracts.client_keys import Announced, prove
from altnet.common.keys import PrivateKey, PublicKey

_log = log.get(__name__)


class Rekey:
    """Over one state directory. `identity` is what the tunnel's keys come from."""

    def __init__(
        self,
        state: DiskState,
        registry: Registry,
        membership: Membership,
        *,
        settled_on: Callable[[PublicKey], bool],
        make_key: Callable[[], PrivateKey] = PrivateKey.generate,
    ) -> None:
        """`settled_on(key)`: whether the tunnel goes by this key and no other one."""
        self._state = state
        self._registry = registry
        self._membership = membership
        self._settled_on = settled_on
        self._make_key = make_key

    async def step(self, config: ClientConfig) -> ClientConfig:
        """Do what the configuration asks for; the newest one afterwards. Raises the registry's problem."""
        identity = self._state.identity()
        following = identity.following
        if following is not None and config.key == following.public().base64:
            await self._keep(Identity(private_key=identity.next_key))
            _log.info("our key was changed", key=config.key)
            return config
        if config.wish is not None:
            return await self._announce(config, config.wish, identity)
        if following is None:
            return config
        if config.next_key == following.public().base64:
            if not self._settled_on(following.public()):
                return config  # on its way
            await self._registry.keep_key(self._membership.client, following.public(), secret=self._membership.secret)
            return await self._ask_again()
        if config.key == identity.key.public().base64 and self._settled_on(identity.key.public()):
            await self._keep(Identity(private_key=identity.private_key))
            _log.info("our next key was dropped", key=config.key)
        return config

    async def _announce(self, config: ClientConfig, wish: KeyWish, identity: Identity) -> ClientConfig:
        if identity.following is None or identity.next_epoch != wish.epoch:
            made = base64.b64encode(self._make_key().reveal()).decode()
            identity = Identity(private_key=identity.private_key, next_key=made, next_epoch=wish.epoch)
            await self._keep(identity)
        following = identity.following
        assert following is not None
        said = Announced(
            key=following.public().base64,
            epoch=wish.epoch,
            proof=prove(
                client=config.client,
                epoch=wish.epoch,
                challenge=PublicKey.parse(wish.challenge),
                present=identity.key,
                following=following,
            ),
        )
        return await self._registry.announce(self._membership.client, said, secret=self._membership.secret)

    async def _ask_again(self) -> ClientConfig:
        config = await self._registry.configuration(self._membership.client, secret=self._membership.secret)
        return await self.step(config)

    async def _keep(self, identity: Identity) -> None:
        await self._state.save_identity(identity)
