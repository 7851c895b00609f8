"""Where a control plane keeps what is its own, and with which file modes.

    <root>/                 0700 (0711 for root: Postgres, which refuses to be root, must be able to pass)
        lock                held while `altnet up` runs
        postgres/           Postgres's data directory
        nats/               JetStream's store
        secrets/            see secrets.py
        owner.token         the first owner's access token, 0600
        ready.json          what is up and where, while it is up

Leaves out what is inside Postgres's and NATS's own folders. Invariant: only the owner of <root> can read a secret.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from altnet.common.errors import Conflict, Unavailable
from altnet.common.files import write_private


@dataclass(frozen=True)
class DataDir:
    """One control plane's folder."""

    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def owner_token(self) -> Path:
        return self.root / "owner.token"

    @property
    def ready_file(self) -> Path:
        return self.root / "ready.json"

    def prepare(self) -> None:
        """Make the folders. Raises `Unavailable` (`data_dir`) where that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
            self.secrets.mkdir(exist_ok=True, mode=0o700)
            self.secrets.chmod(0o700)
        except OSError as error:
            raise Unavailable(
                "data_dir",
                f"{self.root} cannot be used: {error.strerror}.",
                mend="Choose another folder with --data-dir.",
            ) from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder's lock. Raises `Conflict` (`data_dir_in_use`) where another process has it."""
        with open(self.root / "lock", "a", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Conflict(
                    "data_dir_in_use",
                    f"another `altnet up` runs on {self.root}.",
                    mend="Stop it, or choose another folder with --data-dir.",
                ) from None
            yield

    def write_ready(self, facts: Mapping[str, Any]) -> None:
        """Tell that everything answers."""
        write_private(self.ready_file, json.dumps(facts, indent=2).encode() + b"\n")

    def read_ready(self) -> dict[str, Any] | None:
        """What `write_ready` told, if the one who told it still holds the folder."""
        try:
            with self.held():
                return None
        except Conflict:
            pass
        except FileNotFoundError:
            return None
        try:
            facts: dict[str, Any] = json.loads(self.ready_file.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return facts

    def clear_ready(self) -> None:
        self.ready_file.unlink(missing_ok=True)


def default_root() -> Path:
    """`/var/lib/altnet` for root, else `altnet` under the user's data folder (XDG base directories)."""
    if os.geteuid() == 0:
        return Path("/var/lib/altnet")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "altnet"
