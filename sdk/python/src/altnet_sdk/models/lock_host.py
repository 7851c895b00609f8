from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.lock_key import LockKey
  from ..models.lock_refusal import LockRefusal





T = TypeVar("T", bound="LockHost")



@_attrs_define
class LockHost:
    """ A relay, as far as the lock is concerned.

     """

    relay: str
    name: str
    identity: str
    """ Its Ed25519 key, base64; empty before its first contact. """
    keys: list[LockKey]
    length: int
    """ Entries of the log that it knows. """
    head: str
    refused: list[LockRefusal]
    refused_count: int
    alarm: str
    alarm_text: str
    reported_at: datetime.datetime | None





    def to_dict(self) -> dict[str, Any]:
        from ..models.lock_key import LockKey # noqa: PLC0415
        from ..models.lock_refusal import LockRefusal # noqa: PLC0415
        relay = self.relay

        name = self.name

        identity = self.identity

        keys = []
        for keys_item_data in self.keys:
            keys_item = keys_item_data.to_dict()
            keys.append(keys_item)



        length = self.length

        head = self.head

        refused = []
        for refused_item_data in self.refused:
            refused_item = refused_item_data.to_dict()
            refused.append(refused_item)



        refused_count = self.refused_count

        alarm = self.alarm

        alarm_text = self.alarm_text

        reported_at: None | str
        if isinstance(self.reported_at, datetime.datetime):
            reported_at = self.reported_at.isoformat()
        else:
            reported_at = self.reported_at


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "name": name,
            "identity": identity,
            "keys": keys,
            "length": length,
            "head": head,
            "refused": refused,
            "refused_count": refused_count,
            "alarm": alarm,
            "alarm_text": alarm_text,
            "reported_at": reported_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.lock_key import LockKey # noqa: PLC0415
        from ..models.lock_refusal import LockRefusal # noqa: PLC0415
        d = dict(src_dict)
        relay = d.pop("relay")

        name = d.pop("name")

        identity = d.pop("identity")

        keys = []
        _keys = d.pop("keys")
        for keys_item_data in (_keys):
            keys_item = LockKey.from_dict(keys_item_data)



            keys.append(keys_item)


        length = d.pop("length")

        head = d.pop("head")

        refused = []
        _refused = d.pop("refused")
        for refused_item_data in (_refused):
            refused_item = LockRefusal.from_dict(refused_item_data)



            refused.append(refused_item)


        refused_count = d.pop("refused_count")

        alarm = d.pop("alarm")

        alarm_text = d.pop("alarm_text")

        def _parse_reported_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                reported_at_type_0 = datetime.datetime.fromisoformat(data)



                return reported_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        reported_at = _parse_reported_at(d.pop("reported_at"))


        lock_host = cls(
            relay=relay,
            name=name,
            identity=identity,
            keys=keys,
            length=length,
            head=head,
            refused=refused,
            refused_count=refused_count,
            alarm=alarm,
            alarm_text=alarm_text,
            reported_at=reported_at,
        )

        return lock_host

