"""`altnet clients join`: this machine becomes a client, by a join token and without any other right.

The key pair is made here and is on the disk before the registry hears of it, so a run that breaks off anywhere is
simply repeated: the same key is the same client. Leaves out bringing the interface up, which is wg-quick's.

Invariant: a file that holds a secret has mode 0600 from its first byte on; a file that is not ours is never replaced.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from altnet.common.errors import Invalid, Unavailable
from altnet.common.files import write_private
from altnet.common.keys import PrivateKey
from altnet.host.operator.api import TIMEOUT, answered, trust
from altnet_sdk.api.enrolment import join_client
from altnet_sdk.client import Client
from altnet_sdk.models.join import Join

KEY_LINE: Final = "PrivateKey = "
BEGUN: Final = "# Altnet: joining has begun; run the command again to finish it.\n[Interface]\n"


@dataclass(frozen=True, kw_only=True)
class Files:
    """`config` is the wg-quick file, `secret` holds the token by which the client asks about itself."""

    config: Path
    secret: Path


def join(registry: str, body: dict[str, object], files: Files, *, token_file: Path) -> Any:
    """Join and write both files; answers what the registry said.

    Raises the registry's problem as an `AltnetError`, `Invalid` (`no_join_token`, `config_exists`), `Unavailable`.
    """
    if not registry.startswith(("http://", "https://")):
        raise Invalid(
            "bad_registry",
            f"{registry!r} is not an http or https address.",
            field="/registry",
            mend="Give one such as https://registry.example.org.",
        )
    token = _read(token_file)
    private = own_key(files.config)
    asked = Join.from_dict({**body, "token": token, "key": private.public().base64})
    client = Client(base_url=registry.rstrip("/"), timeout=httpx.Timeout(TIMEOUT), verify_ssl=trust(registry))
    answer = answered(registry, join_client.sync_detailed, client=client, body=asked)
    write_private(files.secret, f"{answer.secret}\n".encode())
    write_private(files.config, filled(answer.configuration.text, private).encode())
    return answer


def own_key(config: Path) -> PrivateKey:
    """The private key that the file has, or a fresh one that it has from now on. Raises `Invalid`, `Unavailable`."""
    try:
        text = config.read_text()
    except FileNotFoundError:
        private = PrivateKey.generate()
        write_private(config, f"{BEGUN}{KEY_LINE}{_text(private)}\n".encode())
        return private
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("config_unreadable", f"{config} cannot be read: {error}.") from None
    found = [line.removeprefix(KEY_LINE).strip() for line in text.splitlines() if line.startswith(KEY_LINE)]
    if not text.startswith("# Altnet") or len(found) != 1:
        raise Invalid(
            "config_exists",
            f"{config} is there, and is not a file of ours.",
            field="/config",
            mend="Name another file with --config, or move this one away.",
        )
    return PrivateKey.parse(found[0], field="/config")


def filled(config: str, private: PrivateKey) -> str:
    """A wg-quick file with the private key in its place."""
    lines = config.splitlines(keepends=True)
    return "".join(f"{KEY_LINE}{_text(private)}\n" if line.startswith(KEY_LINE) else line for line in lines)


def _text(private: PrivateKey) -> str:
    return base64.b64encode(private.reveal()).decode()


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            "no_join_token",
            f"{path} cannot be read: {error}.",
            field="/token_file",
            mend="Have an administrator make one: `altnet join-tokens create --kind client`.",
        ) from None
