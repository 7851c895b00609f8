"""Everything that crosses the bus or lies on an agent's disk, as frozen models; one file per owner.

Models are msgspec structs, so that an agent decodes a thousand peers in a third of a millisecond and needs no web
framework. Within a version changes are additive: readers ignore fields that they do not know, and a new field has
a default. A break is a new version beside the old one.
"""
