"""The values of the seam: what cannot be built, and what never shows itself."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from altnet.common.errors import Invalid
from altnet.common.kernel.links import Route, RouteKind
from altnet.common.kernel.wireguard import DeviceConfig, Endpoint, PeerChange, PeerConfig, PresharedKey
from altnet.common.keys import PrivateKey, PublicKey
from hypothesis import given
from hypothesis import strategies as st

KEY = PublicKey(b"\x01" * 32)
SECRET = bytes(range(32))


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_endpoint_reads_back_from_its_own_text(address: object, port: int) -> None:
    endpoint = Endpoint(ip_address(str(address)), port)
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2.1", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:+1", "192.0.2.1:١", "fe80::1:80", "[192.0.2.1]:80",
     "host.example:51820", "[::1]", "[::1:80", "[fe80::1%a\nprivate_key=00]:80", "[fe80::1%a b]:80", "[fe80::1%]:80"],
)  # fmt: skip
def test_a_text_that_is_no_endpoint_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        Endpoint.parse(text, field="/endpoints/0")
    assert (caught.value.code, caught.value.field) == ("bad_endpoint", "/endpoints/0")


def test_secrets_do_not_show() -> None:
    psk, private = PresharedKey(SECRET), PrivateKey(SECRET)
    values = [psk, PeerConfig(key=KEY, psk=psk), PeerChange.update(KEY, psk=psk)]
    shown = " ".join(f"{value!r} {value}" for value in [*values, DeviceConfig(private_key=private, listen_port=1)])
    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:-1] not in shown
    assert "hidden" in shown


def test_values_out_of_range_are_refused() -> None:
    for build in (
        lambda: PeerConfig(key=KEY, keepalive=65536),
        lambda: PeerChange.update(KEY, keepalive=-1),
        lambda: DeviceConfig(private_key=PrivateKey(SECRET), listen_port=65536),
        lambda: PresharedKey(b"short"),
        lambda: Route(prefix=ip_network("fd00::/64")),
        lambda: Route(prefix=ip_network("fd00::/64"), device="lo", kind=RouteKind.BLACKHOLE),
        lambda: Route(prefix=ip_network("fd00::/64"), kind=RouteKind.UNREACHABLE, via=ip_address("fe80::1")),
    ):
        with pytest.raises(ValueError):
            build()
