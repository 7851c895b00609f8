"""Running the system's own tools: `ip`, `nft`, `wg`, `mount`. The only place that starts short-lived commands."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence

from altnet.common.errors import Forbidden, Unavailable
from altnet.host.lab import namespaces

PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "ping": "iputils-ping",
    "bird": "bird2",
}
"""What has to be installed for a lab, by command: Debian's names."""


def run(
    argv: Sequence[str], *, timeout: float, stdin: str = "", namespace: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in a namespace if one is given.

    Raises `Unavailable`: `command_failed` (with what it said), `command_hangs`, `command_missing`.
    """
    where = namespaces.inside(namespace) if namespace else contextlib.nullcontext()
    try:
        with where:
            done = subprocess.run(list(argv), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise missing([argv[0]]) from None
    except subprocess.TimeoutExpired:
        raise Unavailable("command_hangs", f"`{' '.join(argv)}` has not ended after {timeout:g} s.") from None
    if check and done.returncode:
        said = "; ".join((done.stderr or done.stdout).strip().splitlines()[:5]) or "no word why"
        where_it_ran = f" in {namespace}" if namespace else ""
        raise Unavailable("command_failed", f"`{' '.join(argv)}`{where_it_ran} failed: {said}.")
    return done


def ip_batch(lines: Sequence[str], *, timeout: float, namespace: str | None = None) -> None:
    """Run lines of `ip` in one process, in order, up to the first that fails."""
    if lines:
        inside = ["-n", namespace] if namespace else []
        run(["ip", *inside, "-batch", "-"], stdin="\n".join(lines) + "\n", timeout=timeout)


def nft(text: str, *, timeout: float, namespace: str) -> None:
    """Apply a ruleset as one transaction."""
    run(["nft", "-f", "-"], stdin=text, timeout=timeout, namespace=namespace)


def require(names: Sequence[str]) -> None:
    """Raises `Unavailable` (`command_missing`) naming all that are missing and the packages that bring them."""
    absent = [name for name in names if shutil.which(name) is None]
    if absent:
        raise missing(absent)


def missing(names: Sequence[str]) -> Unavailable:
    packages = " ".join(sorted({PACKAGES.get(name, name) for name in names}))
    return Unavailable(
        "command_missing",
        f"the lab needs {', '.join(f'`{name}`' for name in names)}.",
        mend=f"On Debian: apt install {packages}",
    )


def require_root(euid: int) -> None:
    """Raises `Forbidden` (`needs_root`) unless `euid` is 0."""
    if euid != 0:
        raise Forbidden(
            "needs_root",
            "the lab makes network namespaces and needs root",
            mend="(try `sudo altnet lab up`); `altnet up` runs the control plane without.",
        )
