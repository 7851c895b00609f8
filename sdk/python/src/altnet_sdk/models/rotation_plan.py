from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.on_silence import check_on_silence
from ..models.on_silence import OnSilence
from typing import cast






T = TypeVar("T", bound="RotationPlan")



@_attrs_define
class RotationPlan:
    """ How to rotate. Times in seconds.

     """

    silent: OnSilence
    """ What a relay that does not answer in time means for a rotation. """
    canary: int = 1
    """ Relays, or clients, that change over first, alone. """
    wave: int = 8
    """ Relays, or clients, that follow at a time. Of clients those count that follow by themselves and are there.
    """
    prepare_timeout: float = 60.0
    """ For each relay to make a key. """
    wave_timeout: float = 30.0
    """ For each wave's handshakes; then the rotation is rolled back by itself. Of clients: for each that is there.
    """
    drain: float = 5.0
    """ Between the last change-over and the end of the old keys. """
    return_timeout: float = 600.0
    """ For each relay to come back from the next keys, when the rotation is rolled back. """
    grace: float = 1209600.0
    """ Of access keys and of clients' keys: after so long the keys of before are out, also for clients that do not
    follow by themselves and have not been given their new file. """





    def to_dict(self) -> dict[str, Any]:
        canary = self.canary

        wave = self.wave

        prepare_timeout = self.prepare_timeout

        wave_timeout = self.wave_timeout

        drain = self.drain

        return_timeout = self.return_timeout

        grace = self.grace

        silent: str = self.silent


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "canary": canary,
            "wave": wave,
            "prepare_timeout": prepare_timeout,
            "wave_timeout": wave_timeout,
            "drain": drain,
            "return_timeout": return_timeout,
            "grace": grace,
            "silent": silent,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        canary = d.pop("canary")

        wave = d.pop("wave")

        prepare_timeout = d.pop("prepare_timeout")

        wave_timeout = d.pop("wave_timeout")

        drain = d.pop("drain")

        return_timeout = d.pop("return_timeout")

        grace = d.pop("grace")

        silent = check_on_silence(d.pop("silent"))




        rotation_plan = cls(
            canary=canary,
            wave=wave,
            prepare_timeout=prepare_timeout,
            wave_timeout=wave_timeout,
            drain=drain,
            return_timeout=return_timeout,
            grace=grace,
            silent=silent,
        )

        return rotation_plan

