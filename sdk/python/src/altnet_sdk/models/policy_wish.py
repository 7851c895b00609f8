from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.rotation_plan_input import RotationPlanInput





T = TypeVar("T", bound="PolicyWish")



@_attrs_define
class PolicyWish:
    """ When and how a network's keys of one kind rotate by themselves.

     """

    max_age: float | None | Unset = UNSET
    """ Seconds; null: only on demand. """
    jitter: float | Unset = 0.1
    """ Share of the age by which it varies, so that nobody can foretell it and networks do not go together. """
    on_new_owner: bool | Unset = False
    """ Also when a key that was no owner's before signs for the network lock. """
    on_suspicion: bool | Unset = True
    """ Also when a key of the kind was revoked while a relay had it, and, of mesh keys, when a relay was shown
    another
    network lock than the one it knows. Off: an event says so, and you decide. """
    plan: RotationPlanInput | Unset = UNSET
    """ How to rotate. Times in seconds. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.rotation_plan_input import RotationPlanInput # noqa: PLC0415
        max_age: float | None | Unset
        if isinstance(self.max_age, Unset):
            max_age = UNSET
        else:
            max_age = self.max_age

        jitter = self.jitter

        on_new_owner = self.on_new_owner

        on_suspicion = self.on_suspicion

        plan: dict[str, Any] | Unset = UNSET
        if not isinstance(self.plan, Unset):
            plan = self.plan.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if max_age is not UNSET:
            field_dict["max_age"] = max_age
        if jitter is not UNSET:
            field_dict["jitter"] = jitter
        if on_new_owner is not UNSET:
            field_dict["on_new_owner"] = on_new_owner
        if on_suspicion is not UNSET:
            field_dict["on_suspicion"] = on_suspicion
        if plan is not UNSET:
            field_dict["plan"] = plan

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rotation_plan_input import RotationPlanInput # noqa: PLC0415
        d = dict(src_dict)
        def _parse_max_age(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        max_age = _parse_max_age(d.pop("max_age", UNSET))


        jitter = d.pop("jitter", UNSET)

        on_new_owner = d.pop("on_new_owner", UNSET)

        on_suspicion = d.pop("on_suspicion", UNSET)

        _plan = d.pop("plan", UNSET)
        plan: RotationPlanInput | Unset
        if isinstance(_plan,  Unset):
            plan = UNSET
        else:
            plan = RotationPlanInput.from_dict(_plan)




        policy_wish = cls(
            max_age=max_age,
            jitter=jitter,
            on_new_owner=on_new_owner,
            on_suspicion=on_suspicion,
            plan=plan,
        )

        return policy_wish

