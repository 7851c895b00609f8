"""The only SQL of the registry, one file per aggregate. Rows come out, rows go in; meaning is in `domain`.

Handlers use the ORM's session; what runs for every heartbeat, acknowledgement or change uses asyncpg in bulk
(`worlds`, `progress`, `status`).
"""
