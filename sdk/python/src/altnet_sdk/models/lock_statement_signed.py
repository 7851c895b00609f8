from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="LockStatementSigned")



@_attrs_define
class LockStatementSigned:
    """ The newest statement about a relay or client.

     """

    statement: str
    """ Canonical JSON, as it was signed. """
    authority: str
    signature: str
    subject: str
    kind: str
    """ `relay` or `client`. """
    serial: int
    created_by: str
    created_at: datetime.datetime





    def to_dict(self) -> dict[str, Any]:
        statement = self.statement

        authority = self.authority

        signature = self.signature

        subject = self.subject

        kind = self.kind

        serial = self.serial

        created_by = self.created_by

        created_at = self.created_at.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "statement": statement,
            "authority": authority,
            "signature": signature,
            "subject": subject,
            "kind": kind,
            "serial": serial,
            "created_by": created_by,
            "created_at": created_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        statement = d.pop("statement")

        authority = d.pop("authority")

        signature = d.pop("signature")

        subject = d.pop("subject")

        kind = d.pop("kind")

        serial = d.pop("serial")

        created_by = d.pop("created_by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        lock_statement_signed = cls(
            statement=statement,
            authority=authority,
            signature=signature,
            subject=subject,
            kind=kind,
            serial=serial,
            created_by=created_by,
            created_at=created_at,
        )

        return lock_statement_signed

