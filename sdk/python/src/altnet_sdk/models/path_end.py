from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






T = TypeVar("T", bound="PathEnd")



@_attrs_define
class PathEnd:
    """ One end of a path.

     """

    kind: str
    """ `relay`, `client`, `service`, `site`, `nobody` (an address of the network that nobody has) or `outside`. """
    id: str
    name: str
    address: str
    relay: None | str
    """ Where it is attached. """





    def to_dict(self) -> dict[str, Any]:
        kind = self.kind

        id = self.id

        name = self.name

        address = self.address

        relay: None | str
        relay = self.relay


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "kind": kind,
            "id": id,
            "name": name,
            "address": address,
            "relay": relay,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kind = d.pop("kind")

        id = d.pop("id")

        name = d.pop("name")

        address = d.pop("address")

        def _parse_relay(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        relay = _parse_relay(d.pop("relay"))


        path_end = cls(
            kind=kind,
            id=id,
            name=name,
            address=address,
            relay=relay,
        )

        return path_end

