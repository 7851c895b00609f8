"""Who may do what: tokens that are signed, tokens that are looked up, roles and scopes, and what does not get in."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from altnet.common.clock import FixedClock
from altnet.common.errors import Invalid, Unauthenticated, Unavailable
from altnet.common.http.auth import (
    ChainAuthenticator,
    Principal,
    Role,
    StoredApiToken,
    TokenIssuer,
    TokenVerifier,
    check_scopes,
    new_api_token,
)
from altnet.common.http.tokens import ALGORITHM, LONGEST_TOKEN, TYPE
from altnet.common.ids import ApiTokenId
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey, RSAKey
from support.toy_api import START, Toy, make_toy

HOUR = timedelta(hours=1)


class Issuing:
    """A signing key, and ways to sign what an issuer would not."""

    def __init__(self) -> None:
        self.clock = FixedClock(START)
        self.key = Ed25519PrivateKey.generate()
        self.issuer = TokenIssuer(self.key, self.clock)
        self.verifier = TokenVerifier([self.key.public_key()], self.clock)

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(START.timestamp())
        claims = {
            "iss": "altnet",
            "aud": "altnet",
            "sub": "alice",
            "jti": "atk_1",
            "iat": now,
            "nbf": now,
            "exp": now + 60,
            "role": "admin",
            "scope": "*",
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def sign(self, claims: dict[str, Any], *, key: Any = None, algorithm: str = ALGORITHM, **header: Any) -> str:
        ours = OKPKey.import_key(self.key)
        full = {"alg": algorithm, "typ": TYPE, "kid": ours.thumbprint(), **header}
        return jwt.encode(full, claims, key or ours, algorithms=[algorithm])

    def refused(self, text: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            self.verifier.verify(text)
        return caught.value.code


@pytest.fixture
def issuing() -> Issuing:
    return Issuing()


@pytest.fixture
def toy() -> Toy:
    return make_toy()


def test_an_issued_token_says_who_what_and_how_far(issuing: Issuing) -> None:
    issued = issuing.issuer.issue("alice", role=Role.ADMIN, scopes=frozenset({"relays:write"}), lifetime=HOUR)

    found = issuing.verifier.verify(issued.text.reveal())

    assert found == Principal("alice", Role.ADMIN, frozenset({"relays:write"}), issued.id)
    assert issued.expires == START + HOUR
    assert issued.text.reveal() not in repr(issued)


def test_a_token_ends_with_its_time_and_not_before(issuing: Issuing) -> None:
    text = issuing.issuer.issue("alice", role=Role.ADMIN, lifetime=timedelta(seconds=60)).text.reveal()

    issuing.clock.advance(59)
    issuing.verifier.verify(text)
    issuing.clock.advance(10)

    assert issuing.refused(text) == "token_expired"


def test_a_token_is_not_valid_before_its_time(issuing: Issuing) -> None:
    now = int(START.timestamp())
    assert issuing.verifier.verify(issuing.sign(issuing.claims(nbf=now + 3))).id == "alice"  # another host's clock

    assert issuing.refused(issuing.sign(issuing.claims(nbf=now + 60))) == "token_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "another"},
        {"aud": ["another"]},
        {"exp": "never"},
        {"role": "root"},
        {"role": ["owner"]},
        {"role": 1},
        {"scope": ["*"]},
        {"sub": 7},
        {"sub": ""},
        *({name: None} for name in ("iss", "aud", "exp", "nbf", "iat", "sub", "jti", "role")),
    ],
    ids=str,
)
def test_a_signed_token_with_wrong_claims_is_refused(issuing: Issuing, changes: dict[str, Any]) -> None:
    assert issuing.refused(issuing.sign(issuing.claims(**changes))) == "token_invalid"


def test_a_token_without_scopes_reaches_nothing(issuing: Issuing) -> None:
    found = issuing.verifier.verify(issuing.sign(issuing.claims(scope=None)))

    assert not found.may("peers:read")
    assert not found.may(None)


def test_the_algorithm_is_not_the_tokens_to_choose(issuing: Issuing) -> None:
    raw = issuing.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = OctKey.import_key(hashlib.sha512(raw).hexdigest())
    none = ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (
            json.dumps({"alg": "none", "typ": TYPE, "kid": OKPKey.import_key(issuing.key).thumbprint()}).encode(),
            json.dumps(issuing.claims()).encode(),
            b"",
        )
    )

    assert issuing.refused(none) == "token_invalid"
    assert issuing.refused(issuing.sign(issuing.claims(), key=shared, algorithm="HS256")) == "token_invalid"
    rsa = RSAKey.import_key(generate_private_key(65537, 2048))
    assert issuing.refused(issuing.sign(issuing.claims(), key=rsa, algorithm="RS256")) == "token_invalid"


def test_another_key_under_our_name_is_refused(issuing: Issuing) -> None:
    other = OKPKey.import_key(Ed25519PrivateKey.generate())

    assert issuing.refused(issuing.sign(issuing.claims(), key=other)) == "token_invalid"
    assert issuing.refused(issuing.sign(issuing.claims(), key=other, kid=other.thumbprint())) == "token_invalid"


def test_a_key_that_the_token_brings_along_is_not_used(issuing: Issuing) -> None:
    other = OKPKey.import_key(Ed25519PrivateKey.generate())

    assert (
        issuing.refused(issuing.sign(issuing.claims(), key=other, jwk=other.as_dict(private=False))) == "token_invalid"
    )


def test_another_type_of_token_is_refused(issuing: Issuing) -> None:
    assert issuing.refused(issuing.sign(issuing.claims(), typ="JWT")) == "token_invalid"


def test_a_token_that_raises_its_own_role_is_refused(issuing: Issuing) -> None:
    text = issuing.issuer.issue("mallory", role=Role.AUDITOR, lifetime=HOUR).text.reveal()
    header, payload, signature = text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["role"] = "owner"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()

    assert issuing.refused(f"{header}.{forged}.{signature}") == "token_invalid"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip"]), JSON))
def test_a_header_with_anything_odd_in_it_is_refused_and_never_an_error(odd: dict[str, Any]) -> None:
    issuing = Issuing()
    ours = {"alg": ALGORITHM, "typ": TYPE, "kid": OKPKey.import_key(issuing.key).thumbprint()}
    _, payload, signature = issuing.sign(issuing.claims()).split(".")
    for header in ({**ours, **odd, "crit": None}, {**ours, **odd, "x": 1}, odd):
        first = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        assert issuing.refused(f"{first}.{payload}.{signature}") == "token_invalid"


def test_a_deeply_nested_header_is_refused(issuing: Issuing) -> None:
    for deep in (b"[" * 2900, b'{"alg":' * 400, b'{"x":' * 400):
        assert issuing.refused(base64.urlsafe_b64encode(deep).decode() + ".e30.AAAA") == "token_invalid"


@given(st.text(max_size=200))
def test_garbage_is_refused_and_never_an_error(text: str) -> None:
    assert Issuing().refused(text) == "token_invalid"


@given(st.floats(0, 1, exclude_max=True), st.permutations("ABCxyz019-_."))
def test_a_token_with_any_character_changed_is_refused(where: float, signs: list[str]) -> None:
    issuing = Issuing()
    text = issuing.issuer.issue("alice", role=Role.ADMIN, lifetime=HOUR).text.reveal()
    # The last character of the signature carries four unused bits. Nothing drawn may depend on the token: it is random.
    place = int(where * (len(text) - 1))
    other = next(sign for sign in signs if sign != text[place])

    assert issuing.refused(text[:place] + other + text[place + 1 :]) in ("token_invalid", "token_expired")


def test_a_token_that_is_far_too_long_is_refused_unread(issuing: Issuing) -> None:
    assert issuing.refused("a." * LONGEST_TOKEN) == "token_invalid"


def test_keys_rotate_without_a_gap(issuing: Issuing) -> None:
    new = Ed25519PrivateKey.generate()
    old_token = issuing.issuer.issue("alice", role=Role.ADMIN, lifetime=HOUR).text.reveal()
    new_token = TokenIssuer(new, issuing.clock).issue("alice", role=Role.ADMIN, lifetime=HOUR).text.reveal()

    both = TokenVerifier([issuing.key.public_key(), new.public_key()], issuing.clock)
    after = TokenVerifier([new.public_key()], issuing.clock)

    assert both.verify(old_token).id == both.verify(new_token).id == "alice"
    assert after.verify(new_token).id == "alice"
    with pytest.raises(Unauthenticated):
        after.verify(old_token)


async def test_a_revoked_token_is_refused_at_once(toy: Toy) -> None:
    issued = toy.issuer.issue("alice", role=Role.ADMIN, lifetime=HOUR)
    headers = {"Authorization": f"Bearer {issued.text.reveal()}"}
    async with toy.client(**headers) as client:
        before = await client.get("/v1/peers")
        toy.revoked.add(issued.id)
        after = await client.get("/v1/peers")

    assert (before.status_code, after.status_code) == (200, 401)
    assert after.json()["code"] == "token_revoked"


# Roles and scopes, as a request meets them.


@pytest.mark.parametrize(
    ("role", "read", "write", "own", "work"),
    [
        (Role.OWNER, 200, 201, 204, 403),
        (Role.ADMIN, 200, 201, 403, 403),
        (Role.AUDITOR, 200, 403, 403, 403),
        (Role.AGENT, 403, 403, 403, 200),
    ],
)
async def test_a_role_opens_what_it_covers(toy: Toy, role: Role, read: int, write: int, own: int, work: int) -> None:
    async with toy.client(**toy.bearer(role)) as client:
        found = (
            (await client.get("/v1/peers")).status_code,
            (await client.post("/v1/peers", json={"name": "x"})).status_code,
            (await client.delete("/v1/peers/p1")).status_code,
            (await client.get("/v1/work")).status_code,
        )

    assert found == (read, write, own, work)


@pytest.mark.parametrize(
    ("scopes", "read", "write", "other", "unnamed"),
    [
        ({"*"}, 200, 201, 201, 200),
        ({"peers:read"}, 200, 403, 403, 403),
        ({"peers:write"}, 200, 201, 403, 403),
        ({"peers:*"}, 200, 201, 403, 403),
        ({"*:read"}, 200, 403, 403, 403),
        ({"records:write"}, 403, 403, 201, 403),
        (set(), 403, 403, 403, 403),
    ],
)
async def test_a_scope_narrows_even_an_owner(
    toy: Toy, scopes: set[str], read: int, write: int, other: int, unnamed: int
) -> None:
    async with toy.client(**toy.bearer(Role.OWNER, scopes=frozenset(scopes))) as client:
        found = (
            (await client.get("/v1/peers")).status_code,
            (await client.post("/v1/peers", json={"name": "x"})).status_code,
            (await client.post("/v1/records", json={"record": {"type": "TXT", "text": "x"}})).status_code,
            (await client.get("/v1/whoami")).status_code,
        )

    assert found == (read, write, other, unnamed)


async def test_a_refusal_says_what_is_missing(toy: Toy) -> None:
    async with toy.client() as client:
        nobody = await client.get("/v1/peers")
        low = await client.delete("/v1/peers/p1", headers=toy.bearer(Role.ADMIN))
        narrow = await client.post(
            "/v1/peers", json={"name": "x"}, headers=toy.bearer(scopes=frozenset({"records:write"}))
        )

    assert (nobody.status_code, nobody.json()["code"]) == (401, "token_missing")
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert "owner" in low.json()["detail"]
    assert "peers:write" in narrow.json()["detail"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer x y", "bearer\tx"])
async def test_a_malformed_header_is_nobody(toy: Toy, header: str) -> None:
    async with toy.client() as client:
        answer = await client.get("/v1/peers", headers={"Authorization": header})

    assert answer.status_code == 401


async def test_two_authorization_headers_are_nobody(toy: Toy) -> None:
    one = f"Bearer {toy.token(Role.AUDITOR)}"
    async with toy.client() as client:
        answer = await client.get("/v1/peers", headers=[("Authorization", one), ("Authorization", "Bearer x")])

    assert answer.status_code == 401


# API tokens.


def keep(toy: Toy, **changes: Any) -> str:
    made = new_api_token(toy.clock)
    toy.api_tokens[made.id] = StoredApiToken(
        **{
            "id": made.id,
            "digest": made.digest,
            "principal": "ci",
            "role": Role.ADMIN,
            "scopes": frozenset({"peers:write"}),
            "expires": START + HOUR,
            **changes,
        }
    )
    return made.text.reveal()


async def ask(toy: Toy, text: str) -> tuple[int, str | None]:
    async with toy.client(Authorization=f"Bearer {text}") as client:
        answer = await client.get("/v1/peers")
    return answer.status_code, answer.json().get("code")


async def test_an_api_token_opens_what_its_scopes_say_until_it_expires_or_is_revoked(toy: Toy) -> None:
    text = keep(toy)
    assert await ask(toy, text) == (200, None)

    toy.clock.advance(3600)
    assert await ask(toy, text) == (401, "token_expired")
    assert await ask(toy, keep(toy, expires=toy.clock.now() + HOUR, revoked=True)) == (401, "token_revoked")


async def test_an_access_token_made_for_an_api_token_is_void_with_it_and_good_while_nobody_can_be_asked() -> None:
    clock, key = FixedClock(START), Ed25519PrivateKey.generate()
    made = new_api_token(clock)
    stored = StoredApiToken(
        id=made.id,
        digest=made.digest,
        principal=made.id,
        role=Role.ADMIN,
        scopes=frozenset({"*"}),
        expires=START + HOUR,
    )
    known: list[StoredApiToken | Exception] = [stored]

    async def look_up(_: ApiTokenId) -> StoredApiToken | None:
        if isinstance(known[0], Exception):
            raise known[0]
        return known[0]

    chain = ChainAuthenticator(TokenVerifier([key.public_key()], clock), look_up, clock=clock)
    issued = TokenIssuer(key, clock).issue(made.id, role=Role.ADMIN, lifetime=timedelta(minutes=5))
    bearer = f"Bearer {issued.text.reveal()}"
    assert (await chain.authenticate(bearer)).id == made.id
    known[0] = Unavailable("registry_away", "it is away.")
    assert (await chain.authenticate(bearer)).id == made.id
    known[0] = dataclasses.replace(stored, revoked=True)
    with pytest.raises(Unauthenticated) as refusal:
        await chain.authenticate(bearer)
    assert refusal.value.code == "token_revoked"


async def test_an_api_token_with_another_secret_and_an_unknown_one_look_alike(toy: Toy) -> None:
    text = keep(toy)
    wrong = text[:-43] + "A" * 43
    unknown = new_api_token(toy.clock).text.reveal()

    assert await ask(toy, wrong) == await ask(toy, unknown) == (401, "token_invalid")
    for malformed in ("alt_", "alt_x_y", text + "A", text[:-1], text.replace("alt_", "alt__"), text.upper()):
        assert await ask(toy, malformed) == (401, "token_invalid")


def test_an_api_token_is_stored_as_a_hash_and_never_shown() -> None:
    made = new_api_token(FixedClock(START))

    assert made.digest == hashlib.sha256(made.text.reveal().encode()).digest()
    assert made.text.reveal() not in repr(made)
    assert made.text.reveal().startswith("alt_")


@pytest.mark.parametrize("scope", ["", "relays", "relays:delete", "Relays:read", "relays:read ", "*:*", "a b:read"])
def test_a_malformed_scope_is_refused(scope: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_scopes([scope], field="/scopes")
    assert caught.value.field == "/scopes"


async def test_whoever_is_not_let_in_is_told_that_it_was_the_authorization_header() -> None:
    toy = make_toy()
    auditor = toy.bearer(role=Role.AUDITOR)
    narrow = toy.bearer(scopes=frozenset({"clients:write"}))
    two = [*toy.bearer().items(), *auditor.items()]
    said = {}
    async with toy.client() as client:
        for name, headers in (
            ("nobody", {}),
            ("no token", {"Authorization": "Bearer nonsense"}),
            ("two at once", two),
            ("a lower role", auditor),
            ("another scope", narrow),
        ):
            answer = await client.post("/v1/peers", json={"name": "x"}, headers=headers)
            faults = [(fault["location"], fault["pointer"]) for fault in answer.json()["errors"]]
            said[name] = (answer.status_code, answer.json()["code"], faults)

    header = [("header", "/Authorization")]
    assert said == {
        "nobody": (401, "token_missing", header),
        "no token": (401, "token_invalid", header),
        "two at once": (401, "token_invalid", header),
        "a lower role": (403, "role_too_low", header),
        "another scope": (403, "scope_missing", header),
    }
