from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.token_kind import check_token_kind
from ..models.token_kind import TokenKind
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.join_token_made_labels import JoinTokenMadeLabels





T = TypeVar("T", bound="JoinTokenMade")



@_attrs_define
class JoinTokenMade:
    """ A fresh join token; `secret` is shown here only.

     """

    id: str
    network: str
    kind: TokenKind
    """ What a join token lets in. """
    note: str
    labels: JoinTokenMadeLabels
    uses: int
    uses_left: int
    expires_at: datetime.datetime
    revoked_at: datetime.datetime | None
    created_by: str
    created_at: datetime.datetime
    secret: str





    def to_dict(self) -> dict[str, Any]:
        from ..models.join_token_made_labels import JoinTokenMadeLabels # noqa: PLC0415
        id = self.id

        network = self.network

        kind: str = self.kind

        note = self.note

        labels = self.labels.to_dict()

        uses = self.uses

        uses_left = self.uses_left

        expires_at = self.expires_at.isoformat()

        revoked_at: None | str
        if isinstance(self.revoked_at, datetime.datetime):
            revoked_at = self.revoked_at.isoformat()
        else:
            revoked_at = self.revoked_at

        created_by = self.created_by

        created_at = self.created_at.isoformat()

        secret = self.secret


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "network": network,
            "kind": kind,
            "note": note,
            "labels": labels,
            "uses": uses,
            "uses_left": uses_left,
            "expires_at": expires_at,
            "revoked_at": revoked_at,
            "created_by": created_by,
            "created_at": created_at,
            "secret": secret,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.join_token_made_labels import JoinTokenMadeLabels # noqa: PLC0415
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        kind = check_token_kind(d.pop("kind"))




        note = d.pop("note")

        labels = JoinTokenMadeLabels.from_dict(d.pop("labels"))




        uses = d.pop("uses")

        uses_left = d.pop("uses_left")

        expires_at = datetime.datetime.fromisoformat(d.pop("expires_at"))




        def _parse_revoked_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                revoked_at_type_0 = datetime.datetime.fromisoformat(data)



                return revoked_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        revoked_at = _parse_revoked_at(d.pop("revoked_at"))


        created_by = d.pop("created_by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        secret = d.pop("secret")

        join_token_made = cls(
            id=id,
            network=network,
            kind=kind,
            note=note,
            labels=labels,
            uses=uses,
            uses_left=uses_left,
            expires_at=expires_at,
            revoked_at=revoked_at,
            created_by=created_by,
            created_at=created_at,
            secret=secret,
        )

        return join_token_made

