from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.encapsulation import check_encapsulation
from ..models.encapsulation import Encapsulation
from ..models.engine import check_engine
from ..models.engine import Engine
from ..types import UNSET, Unset
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.enrolment_labels import EnrolmentLabels
  from ..models.host_versions import HostVersions





T = TypeVar("T", bound="Enrolment")



@_attrs_define
class Enrolment:
    """ A host asks to become a relay. Signed by its nkey in the header Altnet-Signature.

     """

    token: str
    """ The join token. """
    nkey: str
    """ The host's public key on the bus; from then on it is the relay's identity. """
    key: str
    """ Public key of the mesh interface. """
    access_key: str
    """ Public key of the access interface. """
    name: str
    timestamp: datetime.datetime
    endpoints: list[str] | Unset = UNSET
    mesh_port: int | Unset = 51820
    access_port: int | Unset = 51830
    region: str | Unset = ''
    labels: EnrolmentLabels | Unset = UNSET
    encapsulations: list[Encapsulation] | Unset = UNSET
    identity_key: str | Unset = ''
    routing: Engine | Unset = UNSET
    """ What decides a relay's paths. """
    versions: HostVersions | Unset = UNSET
    """ What runs on the host. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.enrolment_labels import EnrolmentLabels # noqa: PLC0415
        from ..models.host_versions import HostVersions # noqa: PLC0415
        token = self.token

        nkey = self.nkey

        key = self.key

        access_key = self.access_key

        name = self.name

        timestamp = self.timestamp.isoformat()

        endpoints: list[str] | Unset = UNSET
        if not isinstance(self.endpoints, Unset):
            endpoints = self.endpoints



        mesh_port = self.mesh_port

        access_port = self.access_port

        region = self.region

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        encapsulations: list[str] | Unset = UNSET
        if not isinstance(self.encapsulations, Unset):
            encapsulations = []
            for encapsulations_item_data in self.encapsulations:
                encapsulations_item: str = encapsulations_item_data
                encapsulations.append(encapsulations_item)



        identity_key = self.identity_key

        routing: str | Unset = UNSET
        if not isinstance(self.routing, Unset):
            routing = self.routing


        versions: dict[str, Any] | Unset = UNSET
        if not isinstance(self.versions, Unset):
            versions = self.versions.to_dict()


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "token": token,
            "nkey": nkey,
            "key": key,
            "access_key": access_key,
            "name": name,
            "timestamp": timestamp,
        })
        if endpoints is not UNSET:
            field_dict["endpoints"] = endpoints
        if mesh_port is not UNSET:
            field_dict["mesh_port"] = mesh_port
        if access_port is not UNSET:
            field_dict["access_port"] = access_port
        if region is not UNSET:
            field_dict["region"] = region
        if labels is not UNSET:
            field_dict["labels"] = labels
        if encapsulations is not UNSET:
            field_dict["encapsulations"] = encapsulations
        if identity_key is not UNSET:
            field_dict["identity_key"] = identity_key
        if routing is not UNSET:
            field_dict["routing"] = routing
        if versions is not UNSET:
            field_dict["versions"] = versions

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.enrolment_labels import EnrolmentLabels # noqa: PLC0415
        from ..models.host_versions import HostVersions # noqa: PLC0415
        d = dict(src_dict)
        token = d.pop("token")

        nkey = d.pop("nkey")

        key = d.pop("key")

        access_key = d.pop("access_key")

        name = d.pop("name")

        timestamp = datetime.datetime.fromisoformat(d.pop("timestamp"))




        endpoints = cast(list[str], d.pop("endpoints", UNSET))


        mesh_port = d.pop("mesh_port", UNSET)

        access_port = d.pop("access_port", UNSET)

        region = d.pop("region", UNSET)

        _labels = d.pop("labels", UNSET)
        labels: EnrolmentLabels | Unset
        if isinstance(_labels,  Unset):
            labels = UNSET
        else:
            labels = EnrolmentLabels.from_dict(_labels)




        _encapsulations = d.pop("encapsulations", UNSET)
        encapsulations: list[Encapsulation] | Unset = UNSET
        if _encapsulations is not UNSET:
            encapsulations = []
            for encapsulations_item_data in _encapsulations:
                encapsulations_item = check_encapsulation(encapsulations_item_data)



                encapsulations.append(encapsulations_item)


        identity_key = d.pop("identity_key", UNSET)

        _routing = d.pop("routing", UNSET)
        routing: Engine | Unset
        if isinstance(_routing,  Unset):
            routing = UNSET
        else:
            routing = check_engine(_routing)




        _versions = d.pop("versions", UNSET)
        versions: HostVersions | Unset
        if isinstance(_versions,  Unset):
            versions = UNSET
        else:
            versions = HostVersions.from_dict(_versions)




        enrolment = cls(
            token=token,
            nkey=nkey,
            key=key,
            access_key=access_key,
            name=name,
            timestamp=timestamp,
            endpoints=endpoints,
            mesh_port=mesh_port,
            access_port=access_port,
            region=region,
            labels=labels,
            encapsulations=encapsulations,
            identity_key=identity_key,
            routing=routing,
            versions=versions,
        )

        return enrolment

