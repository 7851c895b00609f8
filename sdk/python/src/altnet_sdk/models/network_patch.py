from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.network_settings_patch import NetworkSettingsPatch





T = TypeVar("T", bound="NetworkPatch")



@_attrs_define
class NetworkPatch:
    """ What of a network is to change.

     """

    settings: NetworkSettingsPatch
    """ What of the settings is to change. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.network_settings_patch import NetworkSettingsPatch # noqa: PLC0415
        settings = self.settings.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "settings": settings,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.network_settings_patch import NetworkSettingsPatch # noqa: PLC0415
        d = dict(src_dict)
        settings = NetworkSettingsPatch.from_dict(d.pop("settings"))




        network_patch = cls(
            settings=settings,
        )

        return network_patch

