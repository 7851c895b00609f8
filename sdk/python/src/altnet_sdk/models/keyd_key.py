from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.key_use import check_key_use
from ..models.key_use import KeyUse
from typing import cast
import datetime






T = TypeVar("T", bound="KeydKey")



@_attrs_define
class KeydKey:
    """ One of keyd's own keys: its public part.

     """

    use: KeyUse
    key: str
    current: bool
    endorsed_by: str
    """ The signing key that vouches for it; empty for the first one. """
    endorsement: str
    """ Its Ed25519 signature, base64. """
    answers_until: datetime.datetime | None
    """ Of a static key that was replaced: until then it still answers. """





    def to_dict(self) -> dict[str, Any]:
        use: str = self.use

        key = self.key

        current = self.current

        endorsed_by = self.endorsed_by

        endorsement = self.endorsement

        answers_until: None | str
        if isinstance(self.answers_until, datetime.datetime):
            answers_until = self.answers_until.isoformat()
        else:
            answers_until = self.answers_until


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "use": use,
            "key": key,
            "current": current,
            "endorsed_by": endorsed_by,
            "endorsement": endorsement,
            "answers_until": answers_until,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        use = check_key_use(d.pop("use"))




        key = d.pop("key")

        current = d.pop("current")

        endorsed_by = d.pop("endorsed_by")

        endorsement = d.pop("endorsement")

        def _parse_answers_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                answers_until_type_0 = datetime.datetime.fromisoformat(data)



                return answers_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        answers_until = _parse_answers_until(d.pop("answers_until"))


        keyd_key = cls(
            use=use,
            key=key,
            current=current,
            endorsed_by=endorsed_by,
            endorsement=endorsement,
            answers_until=answers_until,
        )

        return keyd_key

