from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.engine import check_engine
from ..models.engine import Engine
from typing import cast






T = TypeVar("T", bound="RelayRouting")



@_attrs_define
class RelayRouting:
    """ A relay's routing in short.

     """

    engine: Engine
    """ What decides a relay's paths. """
    version: str
    healthy: bool
    problem: str
    """ Why it is not as it should be. """
    sessions: int
    """ With other relays, as configured. """
    sessions_up: int
    """ Of these, established. """
    bfd: int
    """ Sessions with other relays that BFD watches. """
    bfd_up: int
    peerings: int
    peerings_up: int
    routes: int
    """ In the kernel, of the engine's making. """
    learned: int
    """ Routes that its peerings brought in. """
    refused: int
    """ Routes that its peerings' filters refused. """





    def to_dict(self) -> dict[str, Any]:
        engine: str = self.engine

        version = self.version

        healthy = self.healthy

        problem = self.problem

        sessions = self.sessions

        sessions_up = self.sessions_up

        bfd = self.bfd

        bfd_up = self.bfd_up

        peerings = self.peerings

        peerings_up = self.peerings_up

        routes = self.routes

        learned = self.learned

        refused = self.refused


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "engine": engine,
            "version": version,
            "healthy": healthy,
            "problem": problem,
            "sessions": sessions,
            "sessions_up": sessions_up,
            "bfd": bfd,
            "bfd_up": bfd_up,
            "peerings": peerings,
            "peerings_up": peerings_up,
            "routes": routes,
            "learned": learned,
            "refused": refused,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        engine = check_engine(d.pop("engine"))




        version = d.pop("version")

        healthy = d.pop("healthy")

        problem = d.pop("problem")

        sessions = d.pop("sessions")

        sessions_up = d.pop("sessions_up")

        bfd = d.pop("bfd")

        bfd_up = d.pop("bfd_up")

        peerings = d.pop("peerings")

        peerings_up = d.pop("peerings_up")

        routes = d.pop("routes")

        learned = d.pop("learned")

        refused = d.pop("refused")

        relay_routing = cls(
            engine=engine,
            version=version,
            healthy=healthy,
            problem=problem,
            sessions=sessions,
            sessions_up=sessions_up,
            bfd=bfd,
            bfd_up=bfd_up,
            peerings=peerings,
            peerings_up=peerings_up,
            routes=routes,
            learned=learned,
            refused=refused,
        )

        return relay_routing

