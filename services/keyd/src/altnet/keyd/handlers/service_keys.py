"""keyd's own keys: made once, replaced with overlap, rewrapped under a new key-encryption key."""

from __future__ import annotations

from datetime import timedelta

from altnet.common.contracts.keyd import ServiceKeyRotated, ServiceKeysRewrapped
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Unavailable
from altnet.common.ids import Randomness
from altnet.common.keys import PrivateKey
from altnet.common.noise.pins import KeyUse, endorse
from altnet.common.signing import SigningKey
from altnet.keyd.domain.envelope import EncryptionKey, about
from altnet.keyd.store import service_keys
from altnet.keyd.store.events import EMITTER, next_numbers
from altnet.keyd.tables import ServiceKeyRow


async def make_first_keys(uow: UnitOfWork, kek: EncryptionKey, *, randomness: Randomness) -> None:
    """Make a signing key and a static key where there are none; replicas that start together make one pair."""
    await service_keys.take_turns(uow)
    if await service_keys.current(uow, KeyUse.SIGNING) is not None:
        return
    signing = SigningKey.generate(randomness)
    await _add(uow, KeyUse.SIGNING, signing.public().base64, signing.reveal(), kek, None, randomness)
    static = PrivateKey.generate(randomness)
    await _add(uow, KeyUse.STATIC, static.public().base64, static.reveal(), kek, signing, randomness)


async def rotate_key(
    uow: UnitOfWork, use: KeyUse, kek: EncryptionKey, *, overlap: float, randomness: Randomness
) -> ServiceKeyRow:
    """Replace a key; a static one answers for `overlap` seconds more. Raises `Unavailable` (`keys_sealed`)."""
    await service_keys.take_turns(uow)
    signer = await service_keys.current(uow, KeyUse.SIGNING)
    old = await service_keys.current(uow, use)
    if signer is None or old is None:
        raise Unavailable("keys_not_ready", "keyd has no keys yet.", mend="Try again in a moment.")
    endorser = SigningKey(kek.open(signer.sealed, about=about(signer.use, signer.key)))
    old.replaced_at = uow.now
    old.answers_until = uow.now + timedelta(seconds=overlap if use is KeyUse.STATIC else 0.0)
    await uow.session.flush()
    made: PrivateKey | SigningKey = (
        PrivateKey.generate(randomness) if use is KeyUse.STATIC else SigningKey.generate(randomness)
    )
    row = await _add(uow, use, made.public().base64, made.reveal(), kek, endorser, randomness, before=old)
    return row


async def rewrap_keys(uow: UnitOfWork, kek: EncryptionKey, previous: EncryptionKey, *, randomness: Randomness) -> int:
    """Put what the previous key-encryption key wrapped under the present one; returns how many keys."""
    await service_keys.take_turns(uow)
    count = 0
    for row in await service_keys.every(uow.session):
        if row.kek == previous.id != kek.id:
            row.sealed = previous.rewrap(row.sealed, about=about(row.use, row.key), by=kek, randomness=randomness)
            row.kek = kek.id
            count += 1
    await uow.session.flush()
    if count:
        uow.emit(ServiceKeysRewrapped(kek=kek.id, before=previous.id, keys=count))
    return count


async def _add(
    uow: UnitOfWork,
    use: KeyUse,
    public: str,
    private: bytes,
    kek: EncryptionKey,
    endorser: SigningKey | None,
    randomness: Randomness,
    *,
    before: ServiceKeyRow | None = None,
) -> ServiceKeyRow:
    row = ServiceKeyRow(
        use=use.value,
        key=public,
        sealed=kek.seal(private, about=about(use.value, public), randomness=randomness),
        kek=kek.id,
        endorsed_by=endorser.public().base64 if endorser is not None else "",
        endorsement=endorse(use, public, by=endorser) if endorser is not None else "",
        created_at=uow.now,
    )
    uow.session.add(row)
    await uow.session.flush()
    uow.emit(
        ServiceKeyRotated(
            emitter=EMITTER,
            number=await next_numbers(uow),
            use=use,
            key=public,
            before=before.key if before is not None else "",
            answers_until=before.answers_until if before is not None else None,
        )
    )
    return row
