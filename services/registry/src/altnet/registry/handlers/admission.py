"""Join tokens at the door: which one is shown, whether it lets somebody in, and taking a use of it.

Nothing is locked until a token is spent, so whoever is refused costs nobody else anything.
"""

from __future__ import annotations

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Forbidden
from altnet.registry.domain import tokens
from altnet.registry.domain.tokens import TokenKind, TokenVerdict
from altnet.registry.store import tokens as rows
from altnet.registry.tables import JoinTokenRow


async def shown(uow: UnitOfWork, text: str, *, kind: TokenKind) -> JoinTokenRow:
    """The token of this text, usable or not. Raises `Invalid`, `Forbidden` (`bad_join_token`, `token_kind`)."""
    presented = tokens.read_token(text)
    token = await rows.find_join(uow.session, presented.id)
    if token is None or not presented.proves(token.secret_hash):
        raise Forbidden("bad_join_token", "there is no such join token.", field="/token", mend="Ask for a new one.")
    if token.kind != kind:
        raise Forbidden(
            "token_kind", f"this token is not for {kind}s.", field="/token", mend=f"Ask for one with kind {kind}."
        )
    return token


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
        await uow.session.refresh(token)  # somebody was faster
        judge(token, uow)
