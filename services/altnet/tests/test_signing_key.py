"""A replaced key for access tokens: what services that run believe before and after."""

from datetime import timedelta
from pathlib import Path

import pytest
from altnet.common.clock import SystemClock
from altnet.common.errors import NotFound, Unauthenticated
from altnet.common.http.principal import Role
from altnet.host.secrets import SecretsDir
from altnet.host.signing import SigningKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

ENCRYPTED = Ed25519PrivateKey.generate().private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password that nobody told us")
)


@pytest.fixture
def folder(tmp_path: Path) -> SecretsDir:
    made = SecretsDir(tmp_path / "secrets")
    made.create(schemas=[], clock=SystemClock())
    return made


def token(signing: SigningKey) -> str:
    return signing.issuer.issue("prn_x", role=Role.OWNER, lifetime=timedelta(minutes=5)).text.reveal()


def test_tokens_of_a_key_that_was_replaced_are_refused_and_new_ones_count(folder: SecretsDir) -> None:
    signing = SigningKey(folder, SystemClock())
    stolen = token(signing)
    assert not signing.look()
    assert signing.verifier.verify(stolen).role is Role.OWNER

    folder.replace_signing_key()
    assert signing.look()
    assert not signing.look()

    with pytest.raises(Unauthenticated) as refused:
        signing.verifier.verify(stolen)
    assert refused.value.code == "token_invalid"
    assert signing.verifier.verify(token(signing)).id == "prn_x"


@pytest.mark.parametrize("content", [None, b"", b"no key", b"\xff\xfe", ENCRYPTED])
def test_a_file_that_cannot_be_read_leaves_the_key_of_before(folder: SecretsDir, content: bytes | None) -> None:
    signing = SigningKey(folder, SystemClock())
    held = token(signing)
    file = folder.root / "tokens" / "signing.pem"
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    assert not signing.look()
    assert signing.verifier.verify(held).id == "prn_x"

    file.unlink(missing_ok=True)
    folder.replace_signing_key()
    assert signing.look()


def test_services_do_not_start_without_the_key(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as missing:
        SigningKey(SecretsDir(tmp_path), SystemClock())
    assert missing.value.code == "no_secrets"
