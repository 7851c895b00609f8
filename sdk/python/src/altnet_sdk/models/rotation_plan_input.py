from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.on_silence import check_on_silence
from ..models.on_silence import OnSilence
from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="RotationPlanInput")



@_attrs_define
class RotationPlanInput:
    """ How to rotate. Times in seconds.

     """

    canary: int | Unset = 1
    """ Relays, or clients, that change over first, alone. """
    wave: int | Unset = 8
    """ Relays, or clients, that follow at a time. Of clients those count that follow by themselves and are there.
    """
    prepare_timeout: float | Unset = 60.0
    """ For each relay to make a key. """
    wave_timeout: float | Unset = 30.0
    """ For each wave's handshakes; then the rotation is rolled back by itself. Of clients: for each that is there.
    """
    drain: float | Unset = 5.0
    """ Between the last change-over and the end of the old keys. """
    return_timeout: float | Unset = 600.0
    """ For each relay to come back from the next keys, when the rotation is rolled back. """
    grace: float | Unset = 1209600.0
    """ Of access keys and of clients' keys: after so long the keys of before are out, also for clients that do not
    follow by themselves and have not been given their new file. """
    silent: OnSilence | Unset = UNSET
    """ What a relay that does not answer in time means for a rotation. """





    def to_dict(self) -> dict[str, Any]:
        canary = self.canary

        wave = self.wave

        prepare_timeout = self.prepare_timeout

        wave_timeout = self.wave_timeout

        drain = self.drain

        return_timeout = self.return_timeout

        grace = self.grace

        silent: str | Unset = UNSET
        if not isinstance(self.silent, Unset):
            silent = self.silent



        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if canary is not UNSET:
            field_dict["canary"] = canary
        if wave is not UNSET:
            field_dict["wave"] = wave
        if prepare_timeout is not UNSET:
            field_dict["prepare_timeout"] = prepare_timeout
        if wave_timeout is not UNSET:
            field_dict["wave_timeout"] = wave_timeout
        if drain is not UNSET:
            field_dict["drain"] = drain
        if return_timeout is not UNSET:
            field_dict["return_timeout"] = return_timeout
        if grace is not UNSET:
            field_dict["grace"] = grace
        if silent is not UNSET:
            field_dict["silent"] = silent

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        canary = d.pop("canary", UNSET)

        wave = d.pop("wave", UNSET)

        prepare_timeout = d.pop("prepare_timeout", UNSET)

        wave_timeout = d.pop("wave_timeout", UNSET)

        drain = d.pop("drain", UNSET)

        return_timeout = d.pop("return_timeout", UNSET)

        grace = d.pop("grace", UNSET)

        _silent = d.pop("silent", UNSET)
        silent: OnSilence | Unset
        if isinstance(_silent,  Unset):
            silent = UNSET
        else:
            silent = check_on_silence(_silent)




        rotation_plan_input = cls(
            canary=canary,
            wave=wave,
            prepare_timeout=prepare_timeout,
            wave_timeout=wave_timeout,
            drain=drain,
            return_timeout=return_timeout,
            grace=grace,
            silent=silent,
        )

        return rotation_plan_input

