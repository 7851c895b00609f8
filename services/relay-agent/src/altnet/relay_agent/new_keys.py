"""New identity keys for a host whose old ones may be in other hands: `altnet-agent new-keys`, while no agent runs.

The nkey and the WireGuard keys stay: those are rotated by keyd, or go with the relay. What was sealed for the old key
(passwords of peerings) has to be sealed anew. The registry hears of the new key when the agent starts, since its pass
counts as half used up then; keyd holds the identity until an owner has compared the fingerprint.

Invariant: the new keys are on the disk before anybody hears of them.
"""

from __future__ import annotations

from typing import Final

import msgspec
from altnet.common.signing import fingerprint
from altnet.relay_agent.disk_state import DiskState
from altnet.relay_agent.state import make_identity, not_enrolled

LONG_AGO: Final = "2000-01-01T00:00:00Z"


async def new_keys(state: DiskState) -> str:
    """Make them; the fingerprint to compare. Raises `Invalid` (`not_enrolled`, `state_corrupt`)."""
    enrolment = state.enrolment()
    if enrolment is None:
        raise not_enrolled()
    identity = state.identity()
    made = make_identity(make_nkey=lambda: (identity.nkey, identity.nkey_seed.encode()))
    identity = msgspec.structs.replace(identity, identity_key=made.identity_key, signing_key=made.signing_key)
    bus = msgspec.structs.replace(enrolment.bus, issued_at=LONG_AGO)
    # In this order: a crash in between renews once too often, and not once too seldom.
    await state.save_enrolment(msgspec.structs.replace(enrolment, bus=bus))
    await state.save_keyd(msgspec.structs.replace(state.keyd(), psk=""))
    await state.save_identity(identity)
    return fingerprint(identity.sealed_for.public(), identity.signing.public())
