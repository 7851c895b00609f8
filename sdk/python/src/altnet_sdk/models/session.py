from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="Session")



@_attrs_define
class Session:
    """ One BGP session, as the relay sees it.

     """

    neighbour: str
    """ A relay or a peering. """
    state: str
    """ `established`, or what the routing engine calls it. """
    since: datetime.datetime | None
    """ In this state since then. """
    bfd: str
    """ `up`, `down`, `init`, `admin_down`; empty: no BFD here. """
    received: int
    """ Routes that passed the import filter. """
    refused: int
    """ Routes that did not. """
    sent: int
    cost: int | None
    """ What the link adds to a path's cost. """
    problem: str
    heard_at: datetime.datetime
    """ When the relay said so. """





    def to_dict(self) -> dict[str, Any]:
        neighbour = self.neighbour

        state = self.state

        since: None | str
        if isinstance(self.since, datetime.datetime):
            since = self.since.isoformat()
        else:
            since = self.since

        bfd = self.bfd

        received = self.received

        refused = self.refused

        sent = self.sent

        cost: int | None
        cost = self.cost

        problem = self.problem

        heard_at = self.heard_at.isoformat()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "neighbour": neighbour,
            "state": state,
            "since": since,
            "bfd": bfd,
            "received": received,
            "refused": refused,
            "sent": sent,
            "cost": cost,
            "problem": problem,
            "heard_at": heard_at,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        neighbour = d.pop("neighbour")

        state = d.pop("state")

        def _parse_since(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                since_type_0 = datetime.datetime.fromisoformat(data)



                return since_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        since = _parse_since(d.pop("since"))


        bfd = d.pop("bfd")

        received = d.pop("received")

        refused = d.pop("refused")

        sent = d.pop("sent")

        def _parse_cost(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        cost = _parse_cost(d.pop("cost"))


        problem = d.pop("problem")

        heard_at = datetime.datetime.fromisoformat(d.pop("heard_at"))




        session = cls(
            neighbour=neighbour,
            state=state,
            since=since,
            bfd=bfd,
            received=received,
            refused=refused,
            sent=sent,
            cost=cost,
            problem=problem,
            heard_at=heard_at,
        )

        return session

