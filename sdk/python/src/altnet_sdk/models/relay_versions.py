from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="RelayVersions")



@_attrs_define
class RelayVersions:
    

    agent: str = ''
    kernel: str = ''
    wireguard: str = ''





    def to_dict(self) -> dict[str, Any]:
        agent = self.agent

        kernel = self.kernel

        wireguard = self.wireguard


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "agent": agent,
            "kernel": kernel,
            "wireguard": wireguard,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        agent = d.pop("agent")

        kernel = d.pop("kernel")

        wireguard = d.pop("wireguard")

        relay_versions = cls(
            agent=agent,
            kernel=kernel,
            wireguard=wireguard,
        )

        return relay_versions

