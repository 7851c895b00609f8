from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.lock_statement import LockStatement





T = TypeVar("T", bound="LockStatementsNew")



@_attrs_define
class LockStatementsNew:
    """ Statements to be taken, all or none.

     """

    statements: list[LockStatement]
    network: None | str | Unset = UNSET
    """ Identifier; not needed where there is one. """





    def to_dict(self) -> dict[str, Any]:
        from ..models.lock_statement import LockStatement # noqa: PLC0415
        statements = []
        for statements_item_data in self.statements:
            statements_item = statements_item_data.to_dict()
            statements.append(statements_item)



        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        else:
            network = self.network


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "statements": statements,
        })
        if network is not UNSET:
            field_dict["network"] = network

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.lock_statement import LockStatement # noqa: PLC0415
        d = dict(src_dict)
        statements = []
        _statements = d.pop("statements")
        for statements_item_data in (_statements):
            statements_item = LockStatement.from_dict(statements_item_data)



            statements.append(statements_item)


        def _parse_network(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        network = _parse_network(d.pop("network", UNSET))


        lock_statements_new = cls(
            statements=statements,
            network=network,
        )

        return lock_statements_new

