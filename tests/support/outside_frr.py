"""FRR as a router outside: zebra, bgpd and, for BFD, bfdd, each in the foreground."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path

from support.outside import WAIT, Outside

PROGRAMS = Path("/usr/lib/frr")


class Frr(Outside):
    kind = "frr"
    program = str(PROGRAMS / "bgpd")
    package = "frr"
    recovering = True
    """bgpd does so for its first 120 s, whatever is set."""

    def start(self) -> None:
        if not self.processes:
            for name in ("zebra", "bfdd", "vtysh"):
                (self.directory / f"{name}.conf").write_text("")
            self._own()
            self._run("zebra")
            if self.speaker.bfd:
                self._run("bfdd", "--bfdctl", str(self.directory / "bfdd.sock"))
        (self.directory / "bgpd.conf").write_text(self._config())
        self._own()
        self._run("bgpd")

    def kill(self) -> None:
        """Of its programs bgpd dies: zebra keeps forwarding, as it does on a real router."""
        self.end("bgpd", signal.SIGKILL)

    def leave(self) -> None:
        """With graceful restart its end is no goodbye, an operator's word is."""
        self._change("router bgp", f"neighbor {self.speaker.relay} shutdown")
        self.end("bgpd")

    def tell(self, prefixes: Iterable[str]) -> None:
        before, self._told = self._told, tuple(prefixes)
        lines = ["router bgp"]
        for version, family in ((6, "ipv6"), (4, "ipv4")):
            lines.append(f"address-family {family} unicast")
            lines += [f"no network {one}" for one in before if one not in self._told and _version(one) == version]
            lines += [f"network {one}" for one in self._told if one not in before and _version(one) == version]
            lines.append("exit-address-family")
        if "bgpd" in self.processes:
            self._change(*lines)

    def heard(self) -> set[str]:
        found = set()
        for family in ("ipv6", "ipv4"):
            said = self._show(f"show bgp {family} unicast json")
            for prefix, paths in json.loads(said or "{}").get("routes", {}).items():
                if any(path.get("peerId") == self.speaker.relay for path in paths):
                    found.add(prefix)
        return found

    def _show(self, what: str) -> str | None:
        return self.ask("vtysh", "--vty_socket", str(self.directory), "-d", "bgpd", "-c", what)

    def _change(self, *lines: str) -> None:
        script = self.directory / "change"
        script.write_text("\n".join(lines) + "\n")
        assert self.ask("vtysh", "--vty_socket", str(self.directory), "-f", str(script)) is not None

    def _own(self) -> None:
        # They run as the user frr, who may write nowhere else.
        for path in (self.directory, *self.directory.iterdir()):
            shutil.chown(path, "frr", "frr")

    def _run(self, name: str, *options: str) -> None:
        here = self.directory
        files = ["-i", f"{here}/{name}.pid", "-z", f"{here}/zserv.api", "--vty_socket", str(here)]
        socket = here / f"{name}.vty"
        socket.unlink(missing_ok=True)
        self.spawn(name, str(PROGRAMS / name), *files, "-f", f"{here}/{name}.conf", "--log", "stdout", *options)
        deadline = time.monotonic() + WAIT
        while not socket.exists():
            assert time.monotonic() < deadline, f"{name} does not start"
            time.sleep(0.02)

    def _config(self) -> str:
        me = self.speaker
        neighbour = f" neighbor {me.relay}"
        lines = [
            f"router bgp {me.asn}",
            " bgp router-id 10.0.0.2",
            " no bgp ebgp-requires-policy",
            " no bgp network import-check",
            " no bgp default ipv4-unicast",
            " bgp graceful-restart",
            " bgp graceful-restart preserve-fw-state",
            f"{neighbour} remote-as {me.relay_asn}",
            f"{neighbour} timers 3 9",
            f"{neighbour} timers connect 1",
        ]
        lines += [f"{neighbour} password {me.password}"] if me.password else []
        lines += [f"{neighbour} bfd"] if me.bfd else []
        lines += [f"{neighbour} capability extended-nexthop"] if me.ipv4 else []
        for version, family in ((6, "ipv6"), (4, "ipv4")):
            if version == 6 or me.ipv4:
                networks = [f"  network {one}" for one in self._told if _version(one) == version]
                lines += [f" address-family {family} unicast", f" {neighbour} activate", *networks]
                lines.append(" exit-address-family")
        return "\n".join(lines) + "\n"


def _version(prefix: str) -> int:
    return ip_network(prefix).version
