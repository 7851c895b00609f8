from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.identity_state import check_identity_state
from ..models.identity_state import IdentityState
from typing import cast
import datetime






T = TypeVar("T", bound="Identity")



@_attrs_define
class Identity:
    """ A host, by its keys.

     """

    id: str
    """ The relay's identifier. """
    network: str
    name: str
    state: IdentityState
    reason: str
    """ Why it is pending: `no_token`, `name_reused`, `identity_key_changed`, `signing_key_changed`, `key_revoked`;
    else
    empty. """
    static_key: str
    """ X25519, of its Noise handshakes and of what is sealed for it, base64; empty while unknown. """
    signing_key: str
    """ Ed25519, base64; empty until its first contact. """
    fingerprint: str
    """ Of both keys: 160 bits of SHA-256 in base32 (RFC 4648), in groups of four. The host shows the same. """
    confirmed_by: str
    """ `token`, or the owner who approved it. """
    contact_at: datetime.datetime | None
    """ When it last showed a key. """
    created_at: datetime.datetime
    updated_at: datetime.datetime
    version: int





    def to_dict(self) -> dict[str, Any]:
        id = self.id

        network = self.network

        name = self.name

        state: str = self.state

        reason = self.reason

        static_key = self.static_key

        signing_key = self.signing_key

        fingerprint = self.fingerprint

        confirmed_by = self.confirmed_by

        contact_at: None | str
        if isinstance(self.contact_at, datetime.datetime):
            contact_at = self.contact_at.isoformat()
        else:
            contact_at = self.contact_at

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        version = self.version


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "id": id,
            "network": network,
            "name": name,
            "state": state,
            "reason": reason,
            "static_key": static_key,
            "signing_key": signing_key,
            "fingerprint": fingerprint,
            "confirmed_by": confirmed_by,
            "contact_at": contact_at,
            "created_at": created_at,
            "updated_at": updated_at,
            "version": version,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        network = d.pop("network")

        name = d.pop("name")

        state = check_identity_state(d.pop("state"))




        reason = d.pop("reason")

        static_key = d.pop("static_key")

        signing_key = d.pop("signing_key")

        fingerprint = d.pop("fingerprint")

        confirmed_by = d.pop("confirmed_by")

        def _parse_contact_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                contact_at_type_0 = datetime.datetime.fromisoformat(data)



                return contact_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        contact_at = _parse_contact_at(d.pop("contact_at"))


        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        version = d.pop("version")

        identity = cls(
            id=id,
            network=network,
            name=name,
            state=state,
            reason=reason,
            static_key=static_key,
            signing_key=signing_key,
            fingerprint=fingerprint,
            confirmed_by=confirmed_by,
            contact_at=contact_at,
            created_at=created_at,
            updated_at=updated_at,
            version=version,
        )

        return identity

