"""What an identity becomes, whatever happens in whatever order."""

from __future__ import annotations

import msgspec
import pytest
from altnet.common.contracts.keyd import IdentitySnapshot, IdentityState, PendingReason
from altnet.common.errors import Conflict, Forbidden
from altnet.common.keys import PrivateKey
from altnet.common.signing import SigningKey
from altnet.keyd.domain import identities as rules
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

STATICS = [PrivateKey.generate().public().base64 for _ in range(3)]
SIGNERS = [SigningKey.generate().public().base64 for _ in range(3)]


def fresh(*, name_known: bool = False, static: str = STATICS[0]) -> IdentitySnapshot:
    return rules.expected(id="rly_1", network="net_1", name="one", static_key=static, name_known=name_known)


def test_the_secret_of_the_token_makes_it_active_and_nothing_else_does() -> None:
    by_token = rules.contact(fresh(), signing_key=SIGNERS[0], by_token=True)
    without = rules.contact(fresh(), signing_key=SIGNERS[0], by_token=False)

    assert (by_token.state, by_token.confirmed_by) == (IdentityState.ACTIVE, "token")
    assert (without.state, without.reason) == (IdentityState.PENDING, PendingReason.NO_TOKEN)
    assert rules.contact(without, signing_key=SIGNERS[0], by_token=True).state is IdentityState.ACTIVE


def test_a_token_does_not_vouch_for_a_name_or_keys_that_somebody_else_had() -> None:
    reused = rules.contact(fresh(name_known=True), signing_key=SIGNERS[0], by_token=True)
    active = rules.contact(fresh(), signing_key=SIGNERS[0], by_token=True)
    changed = rules.told(active, name="one", static_key=STATICS[1])

    assert reused.reason == PendingReason.NAME_REUSED
    assert (changed.state, changed.reason, changed.signing_key) == (
        IdentityState.PENDING,
        PendingReason.IDENTITY_KEY_CHANGED,
        "",
    )
    assert rules.contact(changed, signing_key=SIGNERS[0], by_token=True).state is IdentityState.PENDING


def test_an_owner_approves_the_keys_that_are_shown_and_no_others() -> None:
    pending = rules.contact(fresh(), signing_key=SIGNERS[0], by_token=False)
    print_before = rules.fingerprint_text(pending)
    swapped = rules.contact(pending, signing_key=SIGNERS[1], by_token=False)

    with pytest.raises(Conflict) as refusal:
        rules.approved(swapped, fingerprint=print_before, by="me")
    assert refusal.value.code == "fingerprint_differs"
    approved = rules.approved(swapped, fingerprint=rules.fingerprint_text(swapped), by="me")
    assert (approved.state, approved.confirmed_by, approved.reason) == (IdentityState.ACTIVE, "me", "")


def test_an_identity_whose_keys_were_not_shown_cannot_be_approved() -> None:
    for identity, code in (
        (fresh(), "not_pending"),
        (fresh(name_known=True), "identity_incomplete"),
        (rules.revoked(fresh()), "not_pending"),
    ):
        with pytest.raises(Conflict) as refusal:
            rules.approved(identity, fingerprint=rules.fingerprint_text(identity), by="me")
        assert refusal.value.code == code


class Life(RuleBasedStateMachine):
    """Any order of the registry's words, contacts and decisions."""

    @initialize(name_known=st.booleans(), static=st.sampled_from(["", *STATICS]))
    def begin(self, name_known: bool, static: str) -> None:
        self.identity = fresh(name_known=name_known, static=static)
        self.proven: set[tuple[str, str]] = set()
        """Pairs of keys that a token or an owner vouched for."""
        self.was_revoked = False

    @rule(static=st.sampled_from(["", *STATICS]), name=st.sampled_from(["one", "two"]))
    def the_registry_tells(self, static: str, name: str) -> None:
        self.identity = rules.told(self.identity, name=name, static_key=static)

    @precondition(lambda self: self.identity.static_key)
    @rule(signer=st.sampled_from(SIGNERS), by_token=st.booleans())
    def the_host_makes_contact(self, signer: str, by_token: bool) -> None:
        if self.was_revoked:
            with pytest.raises(Forbidden):
                rules.contact(self.identity, signing_key=signer, by_token=by_token)
            return
        if by_token and (
            self.identity.state is IdentityState.EXPECTED or self.identity.reason == PendingReason.NO_TOKEN
        ):
            self.proven.add((self.identity.static_key, signer))
        self.identity = rules.contact(self.identity, signing_key=signer, by_token=by_token)

    @precondition(lambda self: self.identity.state is IdentityState.PENDING and self.identity.signing_key)
    @rule()
    def an_owner_approves(self) -> None:
        self.proven.add((self.identity.static_key, self.identity.signing_key))
        self.identity = rules.approved(self.identity, fingerprint=rules.fingerprint_text(self.identity), by="owner")

    @rule()
    def it_is_revoked(self) -> None:
        self.identity, self.was_revoked = rules.revoked(self.identity), True

    @invariant()
    def active_means_that_these_very_keys_were_vouched_for(self) -> None:
        if not hasattr(self, "identity"):
            return
        if self.identity.state is IdentityState.ACTIVE:
            assert (self.identity.static_key, self.identity.signing_key) in self.proven
            assert self.identity.confirmed_by
        else:
            assert self.identity.state is IdentityState.REVOKED or not self.identity.confirmed_by
        assert (self.identity.state is IdentityState.PENDING) == bool(self.identity.reason)
        assert not self.was_revoked or self.identity.state is IdentityState.REVOKED


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)


def test_a_snapshot_holds_public_parts_alone() -> None:
    names = {field.name for field in msgspec.structs.fields(IdentitySnapshot)}

    assert not names & {"psk", "private", "secret", "seed", "nkey"}
