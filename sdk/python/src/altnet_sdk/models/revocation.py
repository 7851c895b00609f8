from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.revocation_kind import check_revocation_kind
from ..models.revocation_kind import RevocationKind
from typing import cast
import datetime






T = TypeVar("T", bound="Revocation")



@_attrs_define
class Revocation:
    """ Something that was put out for good.

     """

    id: str
    kind: RevocationKind
    """ What was put out. """
    subject: str
    """ The identifier of the relay, client or token; of a key's holder; empty where nobody had the key. """
    network: None | str
    name: str
    """ The subject's name then. """
    key: str
    """ The public key, where it is about one; a relay's mesh key and a client's key for these. """
    use: str
    """ What the holder had the key for: `mesh`, `mesh_next`, `access`, `identity`, `client`. """
    still_in_use: bool
    """ A relay has the key yet: it has to get another one, or to be put out. """
    reason: str
    revoked_by: str
    revoked_at: datetime.datetime
    change: int | None
    """ The change by which relays hear of it. """





    def to_dict(self) -> dict[str, Any]:
        id = self.id

        kind: str = self.kind

        subject = self.subject

        network: None | str
        network = self.network

        name = self.name

        key = self.key

        use = self.use

        still_in_use = self.still_in_use

        reason = self.reason

        revoked_by = self.revoked_by

        revoked_at = self.revoked_at.isoformat()

        change: int | None
        change = self.change


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "kind": kind,
            "subject": subject,
            "network": network,
            "name": name,
            "key": key,
            "use": use,
            "still_in_use": still_in_use,
            "reason": reason,
            "revoked_by": revoked_by,
            "revoked_at": revoked_at,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        kind = check_revocation_kind(d.pop("kind"))




        subject = d.pop("subject")

        def _parse_network(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        network = _parse_network(d.pop("network"))


        name = d.pop("name")

        key = d.pop("key")

        use = d.pop("use")

        still_in_use = d.pop("still_in_use")

        reason = d.pop("reason")

        revoked_by = d.pop("revoked_by")

        revoked_at = datetime.datetime.fromisoformat(d.pop("revoked_at"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        revocation = cls(
            id=id,
            kind=kind,
            subject=subject,
            network=network,
            name=name,
            key=key,
            use=use,
            still_in_use=still_in_use,
            reason=reason,
            revoked_by=revoked_by,
            revoked_at=revoked_at,
            change=change,
        )

        return revocation

