"""What a client proves when it announces another key."""

from __future__ import annotations

import pytest
from altnet.common.contracts.client_keys import check, prove
from altnet.common.errors import Forbidden
from altnet.common.keys import PrivateKey, PublicKey


def test_a_proof_fits_one_client_one_change_and_one_pair_of_keys() -> None:
    challenge, present, following, other = (PrivateKey.generate() for _ in range(4))
    proof = prove(client="cli_x", epoch=3, challenge=challenge.public(), present=present, following=following)
    given = {
        "client": "cli_x",
        "epoch": 3,
        "challenge": challenge,
        "present": present.public(),
        "following": following.public(),
    }
    check(proof, **given)  # type: ignore[arg-type]  # a test's shorthand
    wrong: dict[str, object] = {
        "client": "cli_y",
        "epoch": 4,
        "challenge": other,
        "present": other.public(),
        "following": other.public(),
    }
    for name, value in wrong.items():
        with pytest.raises(Forbidden, match="not proven"):
            check(proof, **{**given, name: value})  # type: ignore[arg-type]  # a wrong one on purpose
    for text in ("", proof[:-2], "AAAA" + proof[4:], "é"):
        with pytest.raises(Forbidden, match="not proven"):
            check(text, **given)  # type: ignore[arg-type]  # a wrong one on purpose


def test_who_holds_one_of_both_keys_alone_proves_nothing() -> None:
    challenge, present, following, other = (PrivateKey.generate() for _ in range(4))
    for mine, theirs in ((present, other), (other, following)):
        proof = prove(client="cli_x", epoch=1, challenge=challenge.public(), present=mine, following=theirs)
        with pytest.raises(Forbidden, match="not proven"):
            check(
                proof,
                client="cli_x",
                epoch=1,
                challenge=challenge,
                present=present.public(),
                following=following.public(),
            )


def test_a_challenge_or_a_key_that_keeps_no_secret_is_refused() -> None:
    small, key = PublicKey(bytes([1, *bytes(31)])), PrivateKey.generate()
    with pytest.raises(Forbidden, match="not proven"):
        prove(client="cli_x", epoch=1, challenge=small, present=key, following=key)
    with pytest.raises(Forbidden, match="not proven"):
        check("", client="cli_x", epoch=1, challenge=key, present=key.public(), following=small)
