from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.protocol import check_protocol
from ..models.protocol import Protocol
from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="ServicePatch")



@_attrs_define
class ServicePatch:
    """ What of a service is to change.

     """

    name: str | Unset = UNSET
    port: int | Unset = UNSET
    protocol: Protocol | Unset = UNSET
    tags: list[str] | Unset = UNSET
    """ Replaces all tags. """





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        port = self.port

        protocol: str | Unset = UNSET
        if not isinstance(self.protocol, Unset):
            protocol = self.protocol


        tags: list[str] | Unset = UNSET
        if not isinstance(self.tags, Unset):
            tags = self.tags




        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if name is not UNSET:
            field_dict["name"] = name
        if port is not UNSET:
            field_dict["port"] = port
        if protocol is not UNSET:
            field_dict["protocol"] = protocol
        if tags is not UNSET:
            field_dict["tags"] = tags

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name", UNSET)

        port = d.pop("port", UNSET)

        _protocol = d.pop("protocol", UNSET)
        protocol: Protocol | Unset
        if isinstance(_protocol,  Unset):
            protocol = UNSET
        else:
            protocol = check_protocol(_protocol)




        tags = cast(list[str], d.pop("tags", UNSET))


        service_patch = cls(
            name=name,
            port=port,
            protocol=protocol,
            tags=tags,
        )

        return service_patch

