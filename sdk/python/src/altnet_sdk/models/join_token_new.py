from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.token_kind import check_token_kind
from ..models.token_kind import TokenKind
from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.join_token_new_labels import JoinTokenNewLabels





T = TypeVar("T", bound="JoinTokenNew")



@_attrs_define
class JoinTokenNew:
    """ A join token to make.

     """

    kind: TokenKind | Unset = UNSET
    """ What a join token lets in. """
    network: None | str | Unset = UNSET
    """ Identifier or name; without it, the first network. """
    uses: int | Unset = 1
    """ How many hosts it lets in. """
    lifetime: int | Unset = 604800
    """ Seconds until it expires. """
    labels: JoinTokenNewLabels | Unset = UNSET
    """ Bound to whatever it lets in. """
    note: str | Unset = ''





    def to_dict(self) -> dict[str, Any]:
        from ..models.join_token_new_labels import JoinTokenNewLabels # noqa: PLC0415
        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind


        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        else:
            network = self.network

        uses = self.uses

        lifetime = self.lifetime

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        note = self.note


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if kind is not UNSET:
            field_dict["kind"] = kind
        if network is not UNSET:
            field_dict["network"] = network
        if uses is not UNSET:
            field_dict["uses"] = uses
        if lifetime is not UNSET:
            field_dict["lifetime"] = lifetime
        if labels is not UNSET:
            field_dict["labels"] = labels
        if note is not UNSET:
            field_dict["note"] = note

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.join_token_new_labels import JoinTokenNewLabels # noqa: PLC0415
        d = dict(src_dict)
        _kind = d.pop("kind", UNSET)
        kind: TokenKind | Unset
        if isinstance(_kind,  Unset):
            kind = UNSET
        else:
            kind = check_token_kind(_kind)




        def _parse_network(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        network = _parse_network(d.pop("network", UNSET))


        uses = d.pop("uses", UNSET)

        lifetime = d.pop("lifetime", UNSET)

        _labels = d.pop("labels", UNSET)
        labels: JoinTokenNewLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = JoinTokenNewLabels.from_dict(_labels)




        note = d.pop("note", UNSET)

        join_token_new = cls(
            kind=kind,
            network=network,
            uses=uses,
            lifetime=lifetime,
            labels=labels,
            note=note,
        )

        return join_token_new

