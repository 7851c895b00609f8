from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.preshared_policy import check_preshared_policy
from ..models.preshared_policy import PresharedPolicy
from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="NetworkSettingsPatch")



@_attrs_define
class NetworkSettingsPatch:
    """ What of the settings is to change.

     """

    mtu: int | Unset = UNSET
    """ Of the mesh interface. """
    access_mtu: int | Unset = UNSET
    """ Of access interfaces and clients. """
    keepalive: int | Unset = UNSET
    """ Of the initiating side. """
    heartbeat: float | Unset = UNSET
    """ Between two status messages of a relay. """
    probe: float | Unset = UNSET
    """ Between two probes of a link. """
    bfd_interval: float | Unset = UNSET
    """ Between two signs of life on a link (RFC 5880). A full mesh of n relays sends n(n-1) of them in this time.
    """
    bfd_multiplier: int | Unset = UNSET
    """ How many of them have to be missing until a link counts as dead. """
    restart_time: int | Unset = UNSET
    """ For how long routes outlive a neighbour's routing engine. """
    preshared_keys: PresharedPolicy | Unset = UNSET
    """ What a network wants of WireGuard's pre-shared keys between its relays. """
    preshared_refresh: int | Unset = UNSET
    """ Between two pre-shared keys of a pair. """





    def to_dict(self) -> dict[str, Any]:
        mtu = self.mtu

        access_mtu = self.access_mtu

        keepalive = self.keepalive

        heartbeat = self.heartbeat

        probe = self.probe

        bfd_interval = self.bfd_interval

        bfd_multiplier = self.bfd_multiplier

        restart_time = self.restart_time

        preshared_keys: str | Unset = UNSET
        if not isinstance(self.preshared_keys, Unset):
            preshared_keys = self.preshared_keys


        preshared_refresh = self.preshared_refresh


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if mtu is not UNSET:
            field_dict["mtu"] = mtu
        if access_mtu is not UNSET:
            field_dict["access_mtu"] = access_mtu
        if keepalive is not UNSET:
            field_dict["keepalive"] = keepalive
        if heartbeat is not UNSET:
            field_dict["heartbeat"] = heartbeat
        if probe is not UNSET:
            field_dict["probe"] = probe
        if bfd_interval is not UNSET:
            field_dict["bfd_interval"] = bfd_interval
        if bfd_multiplier is not UNSET:
            field_dict["bfd_multiplier"] = bfd_multiplier
        if restart_time is not UNSET:
            field_dict["restart_time"] = restart_time
        if preshared_keys is not UNSET:
            field_dict["preshared_keys"] = preshared_keys
        if preshared_refresh is not UNSET:
            field_dict["preshared_refresh"] = preshared_refresh

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        mtu = d.pop("mtu", UNSET)

        access_mtu = d.pop("access_mtu", UNSET)

        keepalive = d.pop("keepalive", UNSET)

        heartbeat = d.pop("heartbeat", UNSET)

        probe = d.pop("probe", UNSET)

        bfd_interval = d.pop("bfd_interval", UNSET)

        bfd_multiplier = d.pop("bfd_multiplier", UNSET)

        restart_time = d.pop("restart_time", UNSET)

        _preshared_keys = d.pop("preshared_keys", UNSET)
        preshared_keys: PresharedPolicy | Unset
        if isinstance(_preshared_keys,  Unset):
            preshared_keys = UNSET
        else:
            preshared_keys = check_preshared_policy(_preshared_keys)




        preshared_refresh = d.pop("preshared_refresh", UNSET)

        network_settings_patch = cls(
            mtu=mtu,
            access_mtu=access_mtu,
            keepalive=keepalive,
            heartbeat=heartbeat,
            probe=probe,
            bfd_interval=bfd_interval,
            bfd_multiplier=bfd_multiplier,
            restart_time=restart_time,
            preshared_keys=preshared_keys,
            preshared_refresh=preshared_refresh,
        )

        return network_settings_patch

