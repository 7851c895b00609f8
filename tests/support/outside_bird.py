"""BIRD as a router outside. The only one that can say whatever a test likes: paths, communities."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network

from support.outside import Outside

_HEARD = re.compile(r"^(\S+/\d+)\s", re.MULTILINE)


class OutsideBird(Outside):
    """`tell` takes a path after a prefix, and in braces what goes to BIRD as it is: `fd77:1::/48 64999 64998 { … }`."""

    kind = "bird"
    program = "bird"
    package = "bird2"

    def start(self) -> None:
        self._write()
        self.spawn("bird", "bird", "-f", *self._options())

    def tell(self, prefixes: Iterable[str]) -> None:
        self._told = tuple(prefixes)
        if "bird" in self.processes:
            self._write()
            assert self._birdc("configure") is not None

    def heard(self) -> set[str]:
        return set(_HEARD.findall(self._birdc("show route protocol relay") or ""))

    def _birdc(self, command: str) -> str | None:
        return self.ask("birdc", "-s", str(self.directory / "bird.ctl"), command)

    def _options(self) -> list[str]:
        here = self.directory
        return ["-c", f"{here}/bird.conf", "-s", f"{here}/bird.ctl", "-P", f"{here}/bird.pid", *self._again()]

    def _again(self) -> list[str]:
        return ["-R"] if (self.directory / "started").exists() else []

    def _write(self) -> None:
        me = self.speaker
        route = {6: "", 4: ""}
        for one in self._told:
            prefix, _, rest = one.partition(" ")
            path, brace, raw = rest.partition("{")
            prepended = "".join(f"bgp_path.prepend({number}); " for number in reversed(path.split()))
            attributes = prepended + (raw.rstrip("} ") if brace else "")
            body = f" {{ {attributes} }}" if attributes else ""
            route[ip_network(prefix).version] += f"  route {prefix} unreachable{body};\n"
        ipv4 = "  ipv4 { import all; export where source = RTS_STATIC; extended next hop on; };\n" if me.ipv4 else ""
        reach = f"multihop {me.hops}" if me.hops else "direct"
        password = f'  password "{me.password}";\n' if me.password else ""
        bfd = "  bfd { interval 300 ms; multiplier 3; };\n" if me.bfd else ""
        (self.directory / "bird.conf").write_text(
            f"""\
log "{self.directory}/bird.log" {{ info, remote, warning, error, auth, fatal, bug }};
router id 10.0.0.2;
graceful restart wait 10;
protocol device {{ scan time 10; }}
protocol bfd {{ }}
protocol kernel {{ ipv6 {{ export where source = RTS_BGP && dest != RTD_UNREACHABLE; }}; persist; graceful restart; }}
protocol static tell6 {{
  ipv6;
{route[6]}}}
protocol static tell4 {{
  ipv4;
{route[4]}}}
protocol bgp relay {{
  local {me.address} as {me.asn};
  neighbor {me.relay} as {me.relay_asn};
  {reach}; hold time 9; connect delay time 1; connect retry time 1; error wait time 1, 2;
  graceful restart on; graceful restart time 120;
{password}{bfd}  ipv6 {{ import all; export where source = RTS_STATIC; }};
{ipv4}}}
"""
        )

    def kill(self) -> None:
        super().kill()
        (self.directory / "started").touch()
