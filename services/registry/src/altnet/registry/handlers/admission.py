"""Join tokens at the door: which one is shown, whether it lets somebody in, and taking a use of it.

Nothing is locked until a token is spent, so whoever is refused costs nobody else anything.
"""

from __future__ import annotations

from typing import NoReturn

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Forbidden, Unavailable
from altnet.registry.domain import tokens
from altnet.registry.domain.tokens import TokenKind, TokenVerdict
from altnet.registry.store import tokens as rows
from altnet.registry.tables import JoinTokenRow, NetworkRow


async def shown(uow: UnitOfWork, text: str, *, kind: TokenKind) -> tuple[JoinTokenRow, NetworkRow]:
    """The token of this text, usable or not, and the network that it leads into.

    Raises `Invalid`, `Forbidden` (`bad_join_token`, `token_kind`).
    """
    presented = tokens.read_token(text)
    found = await rows.join_with_network(uow.session, presented.id)
    if found is None or not presented.proves(found[0].secret_hash):
        raise Forbidden("bad_join_token", "there is no such join token.", field="/token", mend="Ask for a new one.")
    token = found[0]
    if token.kind != kind:
        raise Forbidden(
            "token_kind", f"this token is not for {kind}s.", field="/token", mend=f"Ask for one with kind {kind}."
        )
    return found


def judge(token: JoinTokenRow, uow: UnitOfWork, *, used_up_is_fine: bool = False) -> None:
    """Raises `Forbidden` (`token_used`, `token_expired`, `token_revoked`) where it lets nobody in."""
    verdict = tokens.judge(
        uses_left=token.uses_left, expires_at=token.expires_at, revoked=token.revoked_at is not None, now=uow.now
    )
    if verdict is TokenVerdict.USABLE or (used_up_is_fine and verdict is TokenVerdict.USED):
        return
    raise Forbidden(
        f"token_{verdict}",
        f"the join token is {verdict}.",
        field="/token",
        mend="Ask an administrator for a new one.",
    )


async def spend(uow: UnitOfWork, token: JoinTokenRow) -> None:
    """Use the token once. Comes late, since a rack that joins with one token waits for its row until each commit."""
    if not await rows.spend_join(uow, token.id):
        await refuse_spent(uow, token)


async def refuse_spent(uow: UnitOfWork, token: JoinTokenRow) -> NoReturn:
    """Somebody was faster: say what became of the token. Raises `Forbidden`, `Unavailable`."""
    await uow.session.refresh(token)
    judge(token, uow)
    raise Unavailable("token_changed", "the join token was changed at this moment.", mend="Try again.")
