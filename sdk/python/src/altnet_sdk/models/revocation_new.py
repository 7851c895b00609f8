from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="RevocationNew")



@_attrs_define
class RevocationNew:
    """ What is to be put out: exactly one of `relay`, `client`, `key`, `join_token`, `api_token`.

     """

    relay: None | str | Unset = UNSET
    """ A relay's identifier: it is cut off, and none of its keys can be used again. """
    client: None | str | Unset = UNSET
    """ A client's identifier: it is removed, and its key can not be used again. """
    key: None | str | Unset = UNSET
    """ A public key, whoever has it: a client goes with it; a relay has to let go of it. """
    join_token: None | str | Unset = UNSET
    api_token: None | str | Unset = UNSET
    reason: str | Unset = ''
    """ For the record. """





    def to_dict(self) -> dict[str, Any]:
        relay: None | str | Unset
        if isinstance(self.relay, Unset):
            relay = UNSET
        else:
            relay = self.relay

        client: None | str | Unset
        if isinstance(self.client, Unset):
            client = UNSET
        else:
            client = self.client

        key: None | str | Unset
        if isinstance(self.key, Unset):
            key = UNSET
        else:
            key = self.key

        join_token: None | str | Unset
        if isinstance(self.join_token, Unset):
            join_token = UNSET
        else:
            join_token = self.join_token

        api_token: None | str | Unset
        if isinstance(self.api_token, Unset):
            api_token = UNSET
        else:
            api_token = self.api_token

        reason = self.reason


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if relay is not UNSET:
            field_dict["relay"] = relay
        if client is not UNSET:
            field_dict["client"] = client
        if key is not UNSET:
            field_dict["key"] = key
        if join_token is not UNSET:
            field_dict["join_token"] = join_token
        if api_token is not UNSET:
            field_dict["api_token"] = api_token
        if reason is not UNSET:
            field_dict["reason"] = reason

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        def _parse_relay(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        relay = _parse_relay(d.pop("relay", UNSET))


        def _parse_client(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        client = _parse_client(d.pop("client", UNSET))


        def _parse_key(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        key = _parse_key(d.pop("key", UNSET))


        def _parse_join_token(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        join_token = _parse_join_token(d.pop("join_token", UNSET))


        def _parse_api_token(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        api_token = _parse_api_token(d.pop("api_token", UNSET))


        reason = d.pop("reason", UNSET)

        revocation_new = cls(
            relay=relay,
            client=client,
            key=key,
            join_token=join_token,
            api_token=api_token,
            reason=reason,
        )

        return revocation_new

