from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.join_labels import JoinLabels
  from ..models.join_latencies import JoinLatencies





T = TypeVar("T", bound="Join")



@_attrs_define
class Join:
    """ Somebody asks to become a client. The key pair is made by the caller, and the private key stays there.

     """

    token: str
    """ A join token of kind `client`. """
    key: str
    """ The public key. """
    name: str
    region: str | Unset = ''
    """ Where the client is; without it, the label `region` of the token. """
    labels: JoinLabels | Unset = UNSET
    """ Labels of the token count before these. """
    movable: bool | Unset = False
    """ It runs altnetd, which follows to another relay by itself; so it gets a standby relay too. """
    latencies: JoinLatencies | Unset = UNSET
    """ Milliseconds by relay, if it has measured any; the choice of its relay uses them. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.join_labels import JoinLabels # noqa: PLC0415
        from ..models.join_latencies import JoinLatencies # noqa: PLC0415
        token = self.token

        key = self.key

        name = self.name

        region = self.region

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        movable = self.movable

        latencies: dict[str, Any] | Unset = UNSET
        if not isinstance(self.latencies, Unset):
            latencies = self.latencies.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "token": token,
            "key": key,
            "name": name,
        })
        if region is not UNSET:
            field_dict["region"] = region
        if labels is not UNSET:
            field_dict["labels"] = labels
        if movable is not UNSET:
            field_dict["movable"] = movable
        if latencies is not UNSET:
            field_dict["latencies"] = latencies

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.join_labels import JoinLabels # noqa: PLC0415
        from ..models.join_latencies import JoinLatencies # noqa: PLC0415
        d = dict(src_dict)
        token = d.pop("token")

        key = d.pop("key")

        name = d.pop("name")

        region = d.pop("region", UNSET)

        _labels = d.pop("labels", UNSET)
        labels: JoinLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = JoinLabels.from_dict(_labels)




        movable = d.pop("movable", UNSET)

        _latencies = d.pop("latencies", UNSET)
        latencies: JoinLatencies | Unset
        if isinstance(_latencies,  Unset):
            latencies = UNSET
        else:
            latencies = JoinLatencies.from_dict(_latencies)




        join = cls(
            token=token,
            key=key,
            name=name,
            region=region,
            labels=labels,
            movable=movable,
            latencies=latencies,
        )

        return join

