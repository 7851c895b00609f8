"""The host's identity at rest, sealed by systemd-creds: with the TPM where there is one, else with the host's own key.

What is sealed opens on this host alone, so a copied disk or a backup gives nobody its keys; a host whose TPM is gone
has lost them, and enrols again by an owner's approval. The secret goes through pipes, never through arguments.

Leaves out where the file lies. Invariant: what cannot be sealed is not written in the clear instead.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import Final, Literal

from altnet.common.errors import Invalid, Unavailable

Sealing = Literal["off", "auto", "host", "tpm2"]

PROGRAM: Final = "systemd-creds"
NAME: Final = "altnet-agent-identity"
"""Part of what is sealed: another credential of this host does not pass for it."""
WITHIN: Final = 30.0
"""Seconds: a TPM takes one or two, and longer when it is asked by everybody at boot."""


class SystemdCreds:
    """`with_key` as systemd-creds has it: `auto`, `host`, `tpm2`."""

    def __init__(self, with_key: str = "auto", *, program: str = PROGRAM, within: float = WITHIN) -> None:
        self._with_key = with_key
        self._program = program
        self._within = within

    def seal(self, data: bytes) -> bytes:
        """Raises `Unavailable` (`seal_failed`)."""
        return self._run("encrypt", data, f"--with-key={self._with_key}")

    def open(self, sealed: bytes) -> bytes:
        """Raises `Unavailable` (`seal_failed`): sealed elsewhere, by another TPM, or under another name."""
        return self._run("decrypt", sealed)

    def _run(self, verb: str, data: bytes, *options: str) -> bytes:
        try:
            done = subprocess.run(
                [self._program, verb, f"--name={NAME}", *options, "-", "-"],
                input=data,
                capture_output=True,
                timeout=self._within,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(verb, type(error).__name__) from None
        if done.returncode != 0:
            raise _failed(verb, done.stderr.decode(errors="replace").strip()[-300:] or f"exit code {done.returncode}")
        return done.stdout


def sealer(sealing: Sealing) -> SystemdCreds | None:
    """What seals, or None. Raises `Invalid` (`no_systemd_creds`) where it is wanted and not there."""
    if sealing == "off":
        return None
    if shutil.which(PROGRAM) is None:
        raise Invalid(
            "no_systemd_creds",
            f"{PROGRAM} is not on this host, so its identity cannot be sealed.",
            field="/seal_identity",
            mend="Install systemd 250 or newer, or set seal_identity to off: the file is private then, and not sealed.",
        )
    return SystemdCreds(sealing)


def _failed(verb: str, why: str) -> Unavailable:
    return Unavailable(
        "seal_failed",
        f"{PROGRAM} does not {verb} this host's identity: {why}.",
        mend="Was the state copied from another host, or the TPM replaced? Then empty the state and enrol anew.",
    )
