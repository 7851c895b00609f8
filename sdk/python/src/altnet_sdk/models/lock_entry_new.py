from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.lock_signature import LockSignature





T = TypeVar("T", bound="LockEntryNew")



@_attrs_define
class LockEntryNew:
    """ The next entry of a log.

     """

    entry: str
    """ Canonical JSON, as it was signed. """
    signatures: list[LockSignature]
    network: None | str | Unset = UNSET
    """ Identifier; not needed where there is one. """
    force: bool | Unset = False
    """ Turn the lock on although that cuts off relays that lack a statement or a certificate. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.lock_signature import LockSignature # noqa: PLC0415
        entry = self.entry

        signatures = []
        for signatures_item_data in self.signatures:
            signatures_item = signatures_item_data.to_dict()
            signatures.append(signatures_item)



        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        else:
            network = self.network

        force = self.force


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "entry": entry,
            "signatures": signatures,
        })
        if network is not UNSET:
            field_dict["network"] = network
        if force is not UNSET:
            field_dict["force"] = force

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.lock_signature import LockSignature # noqa: PLC0415
        d = dict(src_dict)
        entry = d.pop("entry")

        signatures = []
        _signatures = d.pop("signatures")
        for signatures_item_data in (_signatures):
            signatures_item = LockSignature.from_dict(signatures_item_data)



            signatures.append(signatures_item)


        def _parse_network(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        network = _parse_network(d.pop("network", UNSET))


        force = d.pop("force", UNSET)

        lock_entry_new = cls(
            entry=entry,
            signatures=signatures,
            network=network,
            force=force,
        )

        return lock_entry_new

