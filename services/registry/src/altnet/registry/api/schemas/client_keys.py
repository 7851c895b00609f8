"""The models of a client's change of keys. Public parts only."""

from __future__ import annotations

from typing import Annotated

from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Key
from pydantic import Field


class KeyChange(Model):
    """A client is to have another key."""

    key: Key | None = None
    """The public key, where an operator announces it for a client whose program cannot; null: the client makes it."""
    within: Annotated[float, Field(ge=60, le=366 * 86_400)] | None = None
    """Seconds after which the present key is out; null: as the registry is set."""


class NextKey(Model):
    """A client announces the key that it made."""

    key: Key
    epoch: Annotated[int, Field(ge=1)]
    """Of the wish that this answers."""
    proof: Annotated[str, Field(max_length=64)]
    """That both keys are held, base64."""


class KeptKey(Model):
    """A client goes by its announced key."""

    key: Key
