"""The base of every model that crosses REST.

Requests refuse fields that they do not know, so that a misspelt field is an error and not a silent default; errors
never repeat what was sent, since it may be a secret. Descriptions come from the docstrings below the fields.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of request and response models. Keep the two apart: a class used both ways gets two schemas."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,  # an answer has all its fields, and SDKs may rely on it
    )
