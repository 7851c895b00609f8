from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.client_configuration import ClientConfiguration
  from ..models.network_client import NetworkClient





T = TypeVar("T", bound="JoinAnswer")



@_attrs_define
class JoinAnswer:
    """ The holder of the key is a client.

     """

    client: NetworkClient
    """ A client. """
    created: bool
    """ False if the key was known; then no use of the token was taken. """
    configuration: ClientConfiguration
    """ What a client's program needs, without the private key: `relays` for one that can move, else what the wg-
    quick
    file says. """
    secret: str
    """ Bearer token by which the client asks about itself (its configuration, its ranked relays) and reports
    latencies.
    It is shown here only, replaces the one before, and ends with the client. """
    change: int | None





    def to_dict(self) -> dict[str, Any]:
        from ..models.client_configuration import ClientConfiguration # noqa: PLC0415
        from ..models.network_client import NetworkClient # noqa: PLC0415
        client = self.client.to_dict()

        created = self.created

        configuration = self.configuration.to_dict()

        secret = self.secret

        change: int | None
        change = self.change


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "client": client,
            "created": created,
            "configuration": configuration,
            "secret": secret,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.client_configuration import ClientConfiguration # noqa: PLC0415
        from ..models.network_client import NetworkClient # noqa: PLC0415
        d = dict(src_dict)
        client = NetworkClient.from_dict(d.pop("client"))




        created = d.pop("created")

        configuration = ClientConfiguration.from_dict(d.pop("configuration"))




        secret = d.pop("secret")

        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        join_answer = cls(
            client=client,
            created=created,
            configuration=configuration,
            secret=secret,
            change=change,
        )

        return join_answer

