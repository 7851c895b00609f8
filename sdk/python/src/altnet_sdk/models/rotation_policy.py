from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.key_kind import check_key_kind
from ..models.key_kind import KeyKind
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.rotation_plan import RotationPlan





T = TypeVar("T", bound="RotationPolicy")



@_attrs_define
class RotationPolicy:
    """ A network's policy.

     """

    max_age: float | None
    """ Seconds; null: only on demand. """
    plan: RotationPlan
    """ How to rotate. Times in seconds. """
    network: str
    kind: KeyKind
    """ Which keys rotate. """
    due_at: datetime.datetime | None
    """ When the next rotation starts; null: never, or not computed yet. """
    updated_by: str
    updated_at: datetime.datetime
    jitter: float = 0.1
    """ Share of the age by which it varies, so that nobody can foretell it and networks do not go together. """
    on_new_owner: bool = False
    """ Also when a key that was no owner's before signs for the network lock. """
    on_suspicion: bool = True
    """ Also when a key of the kind was revoked while a relay had it, and, of mesh keys, when a relay was shown
    another
    network lock than the one it knows. Off: an event says so, and you decide. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.rotation_plan import RotationPlan # noqa: PLC0415
        max_age: float | None
        max_age = self.max_age

        jitter = self.jitter

        on_new_owner = self.on_new_owner

        on_suspicion = self.on_suspicion

        plan = self.plan.to_dict()

        network = self.network

        kind: str = self.kind

        due_at: None | str
        if isinstance(self.due_at, datetime.datetime):
            due_at = self.due_at.isoformat()
        else:
            due_at = self.due_at

        updated_by = self.updated_by

        updated_at = self.updated_at.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "max_age": max_age,
            "jitter": jitter,
            "on_new_owner": on_new_owner,
            "on_suspicion": on_suspicion,
            "plan": plan,
            "network": network,
            "kind": kind,
            "due_at": due_at,
            "updated_by": updated_by,
            "updated_at": updated_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rotation_plan import RotationPlan # noqa: PLC0415
        d = dict(src_dict)
        def _parse_max_age(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        max_age = _parse_max_age(d.pop("max_age"))


        jitter = d.pop("jitter")

        on_new_owner = d.pop("on_new_owner")

        on_suspicion = d.pop("on_suspicion")

        plan = RotationPlan.from_dict(d.pop("plan"))




        network = d.pop("network")

        kind = check_key_kind(d.pop("kind"))




        def _parse_due_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                due_at_type_0 = datetime.datetime.fromisoformat(data)



                return due_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        due_at = _parse_due_at(d.pop("due_at"))


        updated_by = d.pop("updated_by")

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))




        rotation_policy = cls(
            max_age=max_age,
            jitter=jitter,
            on_new_owner=on_new_owner,
            on_suspicion=on_suspicion,
            plan=plan,
            network=network,
            kind=kind,
            due_at=due_at,
            updated_by=updated_by,
            updated_at=updated_at,
        )

        return rotation_policy

