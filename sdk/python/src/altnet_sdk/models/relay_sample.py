from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.attached_client import AttachedClient
  from ..models.link_metrics import LinkMetrics
  from ..models.relay_routing import RelayRouting





T = TypeVar("T", bound="RelaySample")



@_attrs_define
class RelaySample:
    """ One heartbeat.

     """

    at: datetime.datetime
    boot: str
    number: int
    health: str
    load: float
    memory_used: float
    agent_rss: int
    uptime: float
    mesh_generation: int
    document_generation: int
    failed_count: int
    routing: None | RelayRouting
    """ Its sessions, routes and BFD in short; null: it said nothing of them. """
    links: list[LinkMetrics]
    clients: list[AttachedClient]





    def to_dict(self) -> dict[str, Any]:
        from ..models.attached_client import AttachedClient # noqa: PLC0415
        from ..models.link_metrics import LinkMetrics # noqa: PLC0415
        from ..models.relay_routing import RelayRouting # noqa: PLC0415
        at = self.at.isoformat()

        boot = self.boot

        number = self.number

        health = self.health

        load = self.load

        memory_used = self.memory_used

        agent_rss = self.agent_rss

        uptime = self.uptime

        mesh_generation = self.mesh_generation

        document_generation = self.document_generation

        failed_count = self.failed_count

        routing: dict[str, Any] | None
        if isinstance(self.routing, RelayRouting):
            routing = self.routing.to_dict()
        else:
            routing = self.routing

        links = []
        for links_item_data in self.links:
            links_item = links_item_data.to_dict()
            links.append(links_item)



        clients = []
        for clients_item_data in self.clients:
            clients_item = clients_item_data.to_dict()
            clients.append(clients_item)




        field_dict: dict[str, Any] = {}

        field_dict.update({
            "at": at,
            "boot": boot,
            "number": number,
            "health": health,
            "load": load,
            "memory_used": memory_used,
            "agent_rss": agent_rss,
            "uptime": uptime,
            "mesh_generation": mesh_generation,
            "document_generation": document_generation,
            "failed_count": failed_count,
            "routing": routing,
            "links": links,
            "clients": clients,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.attached_client import AttachedClient # noqa: PLC0415
        from ..models.link_metrics import LinkMetrics # noqa: PLC0415
        from ..models.relay_routing import RelayRouting # noqa: PLC0415
        d = dict(src_dict)
        at = datetime.datetime.fromisoformat(d.pop("at"))




        boot = d.pop("boot")

        number = d.pop("number")

        health = d.pop("health")

        load = d.pop("load")

        memory_used = d.pop("memory_used")

        agent_rss = d.pop("agent_rss")

        uptime = d.pop("uptime")

        mesh_generation = d.pop("mesh_generation")

        document_generation = d.pop("document_generation")

        failed_count = d.pop("failed_count")

        def _parse_routing(data: object) -> None | RelayRouting:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                routing_type_0 = RelayRouting.from_dict(data)



                return routing_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RelayRouting, data)

        routing = _parse_routing(d.pop("routing"))


        links = []
        _links = d.pop("links")
        for links_item_data in (_links):
            links_item = LinkMetrics.from_dict(links_item_data)



            links.append(links_item)


        clients = []
        _clients = d.pop("clients")
        for clients_item_data in (_clients):
            clients_item = AttachedClient.from_dict(clients_item_data)



            clients.append(clients_item)


        relay_sample = cls(
            at=at,
            boot=boot,
            number=number,
            health=health,
            load=load,
            memory_used=memory_used,
            agent_rss=agent_rss,
            uptime=uptime,
            mesh_generation=mesh_generation,
            document_generation=document_generation,
            failed_count=failed_count,
            routing=routing,
            links=links,
            clients=clients,
        )

        return relay_sample

