"""What a host says when it enrols or renews, and what of it is believed.

The request is signed by the host's nkey over a purpose line and the raw body, so that a signature made for one purpose
or for the bus's own nonce never fits another. The identity of a relay is that proven key and nothing else in the body.
Leaves out the check of the signature itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from altnet.common.contracts.desired import Encapsulation, Port
from altnet.common.contracts.routing import Engine
from altnet.common.errors import Invalid
from altnet.common.keys import PublicKey
from altnet.registry.domain.endpoints import check_endpoints
from altnet.registry.domain.names import check_labels, check_name, check_region

ENROL: Final = b"altnet-enrol-v1\n"
CREDENTIALS: Final = b"altnet-credentials-v1\n"

Text = Annotated[str, msgspec.Meta(max_length=256)]


class HostVersions(msgspec.Struct, frozen=True, kw_only=True):
    agent: Text = ""
    kernel: Text = ""
    wireguard: Text = ""


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    token: Annotated[str, msgspec.Meta(max_length=256)]
    nkey: Text
    key: Text
    access_key: Text
    name: Text
    timestamp: datetime
    endpoints: tuple[Annotated[str, msgspec.Meta(max_length=300)], ...] = ()
    mesh_port: Port = 51820
    access_port: Port = 51830
    region: Text = ""
    labels: dict[str, Text] = {}
    encapsulations: tuple[Encapsulation, ...] = (Encapsulation.VXLAN,)
    identity_key: Text = ""
    routing: Engine = Engine.STATIC
    versions: HostVersions = HostVersions()


class CredentialsRequest(msgspec.Struct, frozen=True, kw_only=True):
    nkey: Text
    key: Text
    access_key: Text
    timestamp: datetime
    endpoints: tuple[Annotated[str, msgspec.Meta(max_length=300)], ...] = ()
    identity_key: Text = ""
    routing: Engine | None = None
    """None leaves what is known."""


def check_time(said: datetime, now: datetime, skew: float) -> None:
    """Raises `Invalid` (`bad_timestamp`) where the host's clock is further off than `skew` seconds."""
    if said.tzinfo is None:
        raise Invalid("bad_timestamp", "the time has no zone.", field="/timestamp", mend="Write RFC 3339, with Z.")
    if abs(said - now) > timedelta(seconds=skew):
        raise Invalid(
            "bad_timestamp",
            f"the time differs from ours ({now:%Y-%m-%dT%H:%M:%SZ}) by more than {skew:g} s.",
            field="/timestamp",
            mend="Set the host's clock; repeated requests are refused by their age.",
        )


def check_keys(request: EnrolRequest | CredentialsRequest) -> None:
    """Raises `Invalid` for a key that is none, with its field."""
    PublicKey.parse(request.key, field="/key")
    PublicKey.parse(request.access_key, field="/access_key")
    if request.identity_key:
        PublicKey.parse(request.identity_key, field="/identity_key")


def checked(request: EnrolRequest) -> EnrolRequest:
    """The request with its texts in canonical form. Raises `Invalid` with the field."""
    check_name(request.name)
    if not request.encapsulations:
        raise Invalid("bad_encapsulations", "there is no encapsulation.", field="/encapsulations", mend="Name vxlan.")
    if request.mesh_port == request.access_port:
        raise Invalid("bad_port", "mesh and access share a port.", field="/access_port", mend="Use two UDP ports.")
    return msgspec.structs.replace(
        request,
        endpoints=check_endpoints(request.endpoints),
        region=check_region(request.region),
        labels=check_labels(request.labels),
        encapsulations=tuple(e for e in Encapsulation if e in request.encapsulations),
    )
