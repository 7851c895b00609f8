from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.network_settings_patch import NetworkSettingsPatch





T = TypeVar("T", bound="NetworkNew")



@_attrs_define
class NetworkNew:
    """ A network to make.

     """

    name: str
    prefix: None | str | Unset = UNSET
    """ A ULA /48; without it, a random one by RFC 4193. """
    settings: NetworkSettingsPatch | None | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        from ..models.network_settings_patch import NetworkSettingsPatch # noqa: PLC0415
        name = self.name

        prefix: None | str | Unset
        if isinstance(self.prefix, Unset):
            prefix = UNSET
        else:
            prefix = self.prefix

        settings: dict[str, Any] | None | Unset
        if isinstance(self.settings, Unset):
            settings = UNSET
        elif isinstance(self.settings, NetworkSettingsPatch):
            settings = self.settings.to_dict()
        else:
            settings = self.settings


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
        })
        if prefix is not UNSET:
            field_dict["prefix"] = prefix
        if settings is not UNSET:
            field_dict["settings"] = settings

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.network_settings_patch import NetworkSettingsPatch # noqa: PLC0415
        d = dict(src_dict)
        name = d.pop("name")

        def _parse_prefix(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        prefix = _parse_prefix(d.pop("prefix", UNSET))


        def _parse_settings(data: object) -> NetworkSettingsPatch | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                settings_type_0 = NetworkSettingsPatch.from_dict(data)



                return settings_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(NetworkSettingsPatch | None | Unset, data)

        settings = _parse_settings(d.pop("settings", UNSET))


        network_new = cls(
            name=name,
            prefix=prefix,
            settings=settings,
        )

        return network_new

