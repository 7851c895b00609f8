from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset






T = TypeVar("T", bound="HostVersions")



@_attrs_define
class HostVersions:
    """ What runs on the host.

     """

    agent: str | Unset = ''
    kernel: str | Unset = ''
    wireguard: str | Unset = ''





    def to_dict(self) -> dict[str, Any]:
        agent = self.agent

        kernel = self.kernel

        wireguard = self.wireguard


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if agent is not UNSET:
            field_dict["agent"] = agent
        if kernel is not UNSET:
            field_dict["kernel"] = kernel
        if wireguard is not UNSET:
            field_dict["wireguard"] = wireguard

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        agent = d.pop("agent", UNSET)

        kernel = d.pop("kernel", UNSET)

        wireguard = d.pop("wireguard", UNSET)

        host_versions = cls(
            agent=agent,
            kernel=kernel,
            wireguard=wireguard,
        )

        return host_versions

