from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.bus_pass import BusPass
  from ..models.enrolled_network import EnrolledNetwork
  from ..models.enrolled_relay import EnrolledRelay





T = TypeVar("T", bound="EnrolmentAnswer")



@_attrs_define
class EnrolmentAnswer:
    """ The host is a relay.

     """

    relay: EnrolledRelay
    """ What the host is from now on. """
    network: EnrolledNetwork
    bus: BusPass
    """ How to reach the bus, and the pass to it. """
    change: int | None





    def to_dict(self) -> dict[str, Any]:
        from ..models.bus_pass import BusPass # noqa: PLC0415
        from ..models.enrolled_network import EnrolledNetwork # noqa: PLC0415
        from ..models.enrolled_relay import EnrolledRelay # noqa: PLC0415
        relay = self.relay.to_dict()

        network = self.network.to_dict()

        bus = self.bus.to_dict()

        change: int | None
        change = self.change


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "relay": relay,
            "network": network,
            "bus": bus,
            "change": change,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.bus_pass import BusPass # noqa: PLC0415
        from ..models.enrolled_network import EnrolledNetwork # noqa: PLC0415
        from ..models.enrolled_relay import EnrolledRelay # noqa: PLC0415
        d = dict(src_dict)
        relay = EnrolledRelay.from_dict(d.pop("relay"))




        network = EnrolledNetwork.from_dict(d.pop("network"))




        bus = BusPass.from_dict(d.pop("bus"))




        def _parse_change(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        change = _parse_change(d.pop("change"))


        enrolment_answer = cls(
            relay=relay,
            network=network,
            bus=bus,
            change=change,
        )

        return enrolment_answer

