from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.lock_change import check_lock_change
from ..models.lock_change import LockChange
from typing import cast






T = TypeVar("T", bound="LockState")



@_attrs_define
class LockState:
    """ A network's lock.

     """

    network: str
    enabled: bool
    length: int
    """ Entries in the log; 0: there is no lock. """
    head: str
    """ SHA-256 of the last entry. """
    fingerprint: str
    """ Of the first entry: what a host may be given at its enrolment. """
    change: LockChange | None
    """ What the last entry did. """
    owners: list[str]
    threshold: int
    """ How many owners sign an entry. """
    authorities: list[str]
    hosts: int
    """ Relays that have reported. """
    behind: int
    """ Relays whose log is not this one. """
    refusing: int
    """ Relays that refuse something. """
    alarmed: int
    """ Relays that were shown another log, or know one. """





    def to_dict(self) -> dict[str, Any]:
        network = self.network

        enabled = self.enabled

        length = self.length

        head = self.head

        fingerprint = self.fingerprint

        change: None | str
        if isinstance(self.change, str):
            change = self.change
        else:
            change = self.change

        owners = self.owners



        threshold = self.threshold

        authorities = self.authorities



        hosts = self.hosts

        behind = self.behind

        refusing = self.refusing

        alarmed = self.alarmed


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "network": network,
            "enabled": enabled,
            "length": length,
            "head": head,
            "fingerprint": fingerprint,
            "change": change,
            "owners": owners,
            "threshold": threshold,
            "authorities": authorities,
            "hosts": hosts,
            "behind": behind,
            "refusing": refusing,
            "alarmed": alarmed,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        network = d.pop("network")

        enabled = d.pop("enabled")

        length = d.pop("length")

        head = d.pop("head")

        fingerprint = d.pop("fingerprint")

        def _parse_change(data: object) -> LockChange | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                change_type_0 = check_lock_change(data)



                return change_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(LockChange | None, data)

        change = _parse_change(d.pop("change"))


        owners = cast(list[str], d.pop("owners"))


        threshold = d.pop("threshold")

        authorities = cast(list[str], d.pop("authorities"))


        hosts = d.pop("hosts")

        behind = d.pop("behind")

        refusing = d.pop("refusing")

        alarmed = d.pop("alarmed")

        lock_state = cls(
            network=network,
            enabled=enabled,
            length=length,
            head=head,
            fingerprint=fingerprint,
            change=change,
            owners=owners,
            threshold=threshold,
            authorities=authorities,
            hosts=hosts,
            behind=behind,
            refusing=refusing,
            alarmed=alarmed,
        )

        return lock_state

