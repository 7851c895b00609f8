"""Types that several resources share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from altnet.common.http.schema import Model
from pydantic import AwareDatetime, Field, GetJsonSchemaHandler, ValidationInfo, field_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Name = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", examples=["berlin-1"])
]
"""A DNS label: it becomes a DNS name."""
Labels = Annotated[dict[str, str], Field(max_length=32, examples=[{"rack": "r7"}])]
Key = Annotated[str, Field(min_length=44, max_length=44, examples=["xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="])]
"""A WireGuard public key, base64."""
Id = Annotated[str, Field(max_length=64)]
Port = Annotated[int, Field(ge=1, le=65535)]
Region = Annotated[str, Field(max_length=63, examples=["eu-central"])]
Endpoint = Annotated[str, Field(max_length=300, examples=["relay.example.net:51820"])]
Time = Annotated[datetime, Field(examples=["2026-05-01T12:00:00Z"])]
TimeIn = Annotated[AwareDatetime, Field(examples=["2026-05-01T12:00:00Z"])]


class Changed(Model):
    """A write was accepted."""

    change: int | None
    """Its number; follow it at /v1/changes/{number}. Null where nothing has to reach a relay."""


class Patch(Model):
    """Base of JSON merge patches (RFC 7396): what is left out stays as it is.

    Every field is declared `X | None = None`, and null is refused but for fields named in `nullable`, where it
    removes the value. In the document such a field is optional without a default, so that no SDK sends one unasked.
    """

    nullable: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.field_name not in cls.nullable:
            raise ValueError("cannot be null; leave it out to keep it")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        for name, prop in schema.get("properties", {}).items():
            prop.pop("default", None)
            if name not in cls.nullable and "anyOf" in prop:
                kinds = [kind for kind in prop.pop("anyOf") if kind != {"type": "null"}]
                prop.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
        return schema
