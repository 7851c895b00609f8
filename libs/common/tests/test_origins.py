"""What may be a prefix behind a relay."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network

import pytest
from altnet.common.errors import Invalid
from altnet.common.origins import check_origin, covered, endpoint_address
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0/0",
        "::/0",
        "8000::/1",
        "10.0.0.0/7",
        "2000::/15",
        "127.0.0.0/8",
        "169.254.7.0/24",
        "224.0.0.0/8",
        "240.0.0.0/8",
        "fe80::/64",
        "ff02::/16",
        "::1/128",
        "::/16",
    ],
)
def test_what_takes_more_than_it_brings_is_refused_with_field_reason_and_mend(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_origin(ip_network(text), field="/prefixes/3")
    assert (refused.value.code, refused.value.field) == ("bad_prefix", "/prefixes/3")
    assert text in refused.value.detail
    assert refused.value.mend


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8", "169.0.0.0/8", "192.0.2.1/32", "2000::/16", "fd77::/48", "2001:db8::1/128"]
)
def test_what_can_be_behind_a_relay_is_taken(text: str) -> None:
    assert check_origin(ip_network(text)) == ip_network(text)


def test_the_endpoint_that_a_prefix_covers_is_named_and_host_names_and_links_are_none() -> None:
    endpoints = ("relay.example:51820", "[fe80::1%eth0]:51820", "[2001:db8::7]:51820", "192.0.2.9:51820")
    assert covered(ip_network("192.0.2.0/24"), endpoints) == "192.0.2.9:51820"
    assert covered(ip_network("2001:db8::/32"), endpoints) == "[2001:db8::7]:51820"
    assert covered(ip_network("fe80::/16"), endpoints) is None
    assert covered(ip_network("198.51.100.0/24"), endpoints) is None


@given(st.text())
def test_an_address_of_an_endpoint_is_an_address_and_nothing_else_whatever_the_text_is(text: str) -> None:
    for endpoint in (text, f"[{text}]:1", f"[fe80::1%{text}]:1"):
        found = endpoint_address(endpoint)
        assert not isinstance(found, IPv6Address) or found.scope_id is None
