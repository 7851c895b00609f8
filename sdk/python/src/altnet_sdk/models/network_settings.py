from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.preshared_policy import check_preshared_policy
from ..models.preshared_policy import PresharedPolicy
from typing import cast






T = TypeVar("T", bound="NetworkSettings")



@_attrs_define
class NetworkSettings:
    """ What holds for every relay of a network. Times in seconds, sizes in bytes.

     """

    mtu: int
    access_mtu: int
    keepalive: int
    heartbeat: float
    probe: float
    bfd_interval: float
    bfd_multiplier: int
    restart_time: int
    preshared_keys: PresharedPolicy
    """ What a network wants of WireGuard's pre-shared keys between its relays. """
    preshared_refresh: int





    def to_dict(self) -> dict[str, Any]:
        mtu = self.mtu

        access_mtu = self.access_mtu

        keepalive = self.keepalive

        heartbeat = self.heartbeat

        probe = self.probe

        bfd_interval = self.bfd_interval

        bfd_multiplier = self.bfd_multiplier

        restart_time = self.restart_time

        preshared_keys: str = self.preshared_keys

        preshared_refresh = self.preshared_refresh


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "mtu": mtu,
            "access_mtu": access_mtu,
            "keepalive": keepalive,
            "heartbeat": heartbeat,
            "probe": probe,
            "bfd_interval": bfd_interval,
            "bfd_multiplier": bfd_multiplier,
            "restart_time": restart_time,
            "preshared_keys": preshared_keys,
            "preshared_refresh": preshared_refresh,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        mtu = d.pop("mtu")

        access_mtu = d.pop("access_mtu")

        keepalive = d.pop("keepalive")

        heartbeat = d.pop("heartbeat")

        probe = d.pop("probe")

        bfd_interval = d.pop("bfd_interval")

        bfd_multiplier = d.pop("bfd_multiplier")

        restart_time = d.pop("restart_time")

        preshared_keys = check_preshared_policy(d.pop("preshared_keys"))




        preshared_refresh = d.pop("preshared_refresh")

        network_settings = cls(
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

        return network_settings

