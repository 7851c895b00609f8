from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.key_kind import check_key_kind
from ..models.key_kind import KeyKind
from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.rotation_plan_input import RotationPlanInput





T = TypeVar("T", bound="RotationStart")



@_attrs_define
class RotationStart:
    """ Start a rotation.

     """

    network: None | str | Unset = UNSET
    """ Identifier; null: the only network that there is. """
    reason: str | Unset = 'on demand'
    plan: None | RotationPlanInput | Unset = UNSET
    """ Null: that of the network's policy for the kind, or the usual one. """
    kind: KeyKind | Unset = UNSET
    """ Which keys rotate. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.rotation_plan_input import RotationPlanInput # noqa: PLC0415
        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        else:
            network = self.network

        reason = self.reason

        plan: dict[str, Any] | None | Unset
        if isinstance(self.plan, Unset):
            plan = UNSET
        elif isinstance(self.plan, RotationPlanInput):
            plan = self.plan.to_dict()
        else:
            plan = self.plan

        kind: str | Unset = UNSET
        if not isinstance(self.kind, Unset):
            kind = self.kind



        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if network is not UNSET:
            field_dict["network"] = network
        if reason is not UNSET:
            field_dict["reason"] = reason
        if plan is not UNSET:
            field_dict["plan"] = plan
        if kind is not UNSET:
            field_dict["kind"] = kind

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rotation_plan_input import RotationPlanInput # noqa: PLC0415
        d = dict(src_dict)
        def _parse_network(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        network = _parse_network(d.pop("network", UNSET))


        reason = d.pop("reason", UNSET)

        def _parse_plan(data: object) -> None | RotationPlanInput | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                plan_type_0 = RotationPlanInput.from_dict(data)



                return plan_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RotationPlanInput | Unset, data)

        plan = _parse_plan(d.pop("plan", UNSET))


        _kind = d.pop("kind", UNSET)
        kind: KeyKind | Unset
        if isinstance(_kind,  Unset):
            kind = UNSET
        else:
            kind = check_key_kind(_kind)




        rotation_start = cls(
            network=network,
            reason=reason,
            plan=plan,
            kind=kind,
        )

        return rotation_start

