"""The registry's first schema.

Revision ID: 0001
Revises:

Overlaps are refused here, by exclusion constraints, whatever the code above does. A row that must know its network's
prefix carries a copy, held true by a foreign key on (id, prefix), so that a CHECK can compare.
"""

from alembic import op
from altnet.common.db import migrate

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE registry.networks (
        id text PRIMARY KEY,
        name text NOT NULL CONSTRAINT networks_name_key UNIQUE,
        prefix cidr NOT NULL CONSTRAINT networks_prefix_check CHECK (prefix <<= 'fd00::/8' AND masklen(prefix) = 48),
        settings jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT networks_id_prefix_key UNIQUE (id, prefix),
        CONSTRAINT networks_prefix_overlap EXCLUDE USING gist (prefix inet_ops WITH &&)
    )
    """,
    """
    CREATE TABLE registry.names (
        network_id text NOT NULL REFERENCES registry.networks,
        name text NOT NULL,
        kind text NOT NULL,
        owner text NOT NULL CONSTRAINT names_owner_key UNIQUE,
        PRIMARY KEY (network_id, name)
    )
    """,
    """
    CREATE TABLE registry.allocations (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        network_id text NOT NULL,
        network_prefix cidr NOT NULL,
        pool text NOT NULL CONSTRAINT allocations_pool_check CHECK (pool IN ('relay', 'client', 'service')),
        prefix cidr NOT NULL,
        slot integer CONSTRAINT allocations_slot_check CHECK (slot BETWEEN 1 AND 4095),
        owner text NOT NULL,
        allocated_at timestamptz NOT NULL,
        released_at timestamptz,
        FOREIGN KEY (network_id, network_prefix) REFERENCES registry.networks (id, prefix),
        CONSTRAINT allocations_slot_of_relay CHECK ((pool = 'relay') = (slot IS NOT NULL)),
        CONSTRAINT allocations_in_pool CHECK (masklen(prefix) = 128 AND CASE pool
            WHEN 'relay' THEN
                prefix = set_masklen(set_masklen(network_prefix::inet, 128) + slot::bigint, 128)
            WHEN 'client' THEN
                prefix <<= set_masklen(set_masklen(network_prefix::inet, 128) | inet '0:0:0:1000::', 52)
            WHEN 'service' THEN
                prefix <<= set_masklen(set_masklen(network_prefix::inet, 128) | inet '0:0:0:2000::', 64)
        END),
        CONSTRAINT allocations_overlap EXCLUDE USING gist (network_id WITH =, pool WITH =, prefix inet_ops WITH &&)
    )
    """,
    "CREATE INDEX allocations_resting ON registry.allocations (released_at) WHERE released_at IS NOT NULL",
    "CREATE UNIQUE INDEX allocations_owner ON registry.allocations (owner) WHERE released_at IS NULL",
    """
    CREATE UNIQUE INDEX allocations_slot ON registry.allocations (network_id, slot) WHERE pool = 'relay'
    """,
    """
    CREATE TABLE registry.join_tokens (
        id text PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        kind text NOT NULL CONSTRAINT join_tokens_kind_check CHECK (kind IN ('relay', 'client')),
        secret_hash bytea NOT NULL,
        note text NOT NULL DEFAULT '',
        labels jsonb NOT NULL DEFAULT '{}',
        uses integer NOT NULL CONSTRAINT join_tokens_uses_check CHECK (uses >= 1),
        uses_left integer NOT NULL CONSTRAINT join_tokens_uses_left_check CHECK (uses_left BETWEEN 0 AND uses),
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE registry.api_tokens (
        id text PRIMARY KEY,
        name text NOT NULL,
        role text NOT NULL CONSTRAINT api_tokens_role_check CHECK (role IN ('owner', 'admin', 'auditor')),
        scopes text[] NOT NULL,
        secret_hash bytea NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE registry.relays (
        id text PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        name text NOT NULL,
        slot integer NOT NULL CONSTRAINT relays_slot_check CHECK (slot BETWEEN 1 AND 4095),
        nkey text NOT NULL CONSTRAINT relays_nkey_key UNIQUE,
        key text NOT NULL,
        access_key text NOT NULL,
        endpoints text[] NOT NULL DEFAULT '{}',
        mesh_port integer NOT NULL CONSTRAINT relays_mesh_port_check CHECK (mesh_port BETWEEN 1 AND 65535),
        access_port integer NOT NULL CONSTRAINT relays_access_port_check CHECK (access_port BETWEEN 1 AND 65535),
        region text NOT NULL DEFAULT '',
        labels jsonb NOT NULL DEFAULT '{}',
        encapsulations text[] NOT NULL,
        state text NOT NULL CONSTRAINT relays_state_check CHECK (state IN ('active', 'draining')),
        weight double precision NOT NULL DEFAULT 1 CONSTRAINT relays_weight_check CHECK (weight BETWEEN 0 AND 1000),
        versions jsonb NOT NULL DEFAULT '{}',
        join_token text,
        revoked_at timestamptz,
        bus_revoked_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1
    )
    """,
    """
    CREATE UNIQUE INDEX relays_slot_in_use ON registry.relays (network_id, slot) WHERE revoked_at IS NULL
    """,
    "CREATE INDEX relays_bus_unrevoked ON registry.relays (id) WHERE revoked_at IS NOT NULL AND bus_revoked_at IS NULL",
    """
    CREATE TABLE registry.keys (
        key text PRIMARY KEY,
        owner text NOT NULL,
        use text NOT NULL CONSTRAINT keys_use_check CHECK (use IN ('mesh', 'access', 'client')),
        CONSTRAINT keys_owner_use_key UNIQUE (owner, use)
    )
    """,
    """
    CREATE TABLE registry.clients (
        id text PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        relay_id text REFERENCES registry.relays,
        name text NOT NULL,
        key text NOT NULL,
        address inet NOT NULL,
        labels jsonb NOT NULL DEFAULT '{}',
        latencies jsonb NOT NULL DEFAULT '{}',
        expires_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1
    )
    """,
    "CREATE INDEX clients_relay ON registry.clients (relay_id)",
    "CREATE INDEX clients_expiry ON registry.clients (expires_at) WHERE expires_at IS NOT NULL",
    """
    CREATE TABLE registry.services (
        id text PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        name text NOT NULL,
        port integer NOT NULL CONSTRAINT services_port_check CHECK (port BETWEEN 1 AND 65535),
        protocol text NOT NULL CONSTRAINT services_protocol_check CHECK (protocol IN ('tcp', 'udp')),
        health text NOT NULL CONSTRAINT services_health_check
            CHECK (health IN ('unknown', 'passing', 'warning', 'critical')),
        health_at timestamptz,
        health_note text NOT NULL DEFAULT '',
        tags text[] NOT NULL DEFAULT '{}',
        owner_kind text NOT NULL CONSTRAINT services_owner_kind_check
            CHECK (owner_kind IN ('relay', 'client', 'address')),
        owner_id text,
        address inet NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT services_owner_check CHECK ((owner_kind = 'address') = (owner_id IS NULL))
    )
    """,
    "CREATE INDEX services_owner ON registry.services (owner_id)",
    "CREATE INDEX services_tags ON registry.services USING gin (tags)",
    """
    CREATE TABLE registry.sites (
        id text PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        name text NOT NULL,
        labels jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT sites_name_key UNIQUE (network_id, name)
    )
    """,
    """
    CREATE TABLE registry.site_prefixes (
        site_id text NOT NULL REFERENCES registry.sites ON DELETE CASCADE,
        network_id text NOT NULL,
        network_prefix cidr NOT NULL,
        prefix cidr NOT NULL,
        PRIMARY KEY (site_id, prefix),
        FOREIGN KEY (network_id, network_prefix) REFERENCES registry.networks (id, prefix),
        CONSTRAINT site_prefixes_outside_network CHECK (NOT prefix && network_prefix),
        CONSTRAINT site_prefixes_overlap
            EXCLUDE USING gist (network_id WITH =, site_id WITH <>, prefix inet_ops WITH &&)
    )
    """,
    """
    CREATE TABLE registry.site_relays (
        site_id text NOT NULL REFERENCES registry.sites ON DELETE CASCADE,
        relay_id text NOT NULL REFERENCES registry.relays,
        PRIMARY KEY (site_id, relay_id)
    )
    """,
    "CREATE INDEX site_relays_relay ON registry.site_relays (relay_id)",
    """
    CREATE TABLE registry.change_counter (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        number bigint NOT NULL
    )
    """,
    "INSERT INTO registry.change_counter (number) VALUES (0)",
    """
    CREATE TABLE registry.changes (
        number bigint PRIMARY KEY,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        kind text NOT NULL,
        summary text NOT NULL,
        event_id text,
        network_id text,
        touched text[] NOT NULL,
        planned_at timestamptz,
        mesh boolean NOT NULL DEFAULT false,
        documents text[] NOT NULL DEFAULT '{}',
        concerned integer NOT NULL DEFAULT 0,
        completed_at timestamptz,
        applied integer,
        p50 double precision,
        p99 double precision
    )
    """,
    "CREATE INDEX changes_unplanned ON registry.changes (number) WHERE planned_at IS NULL",
    "CREATE INDEX changes_open ON registry.changes (number) WHERE planned_at IS NOT NULL AND completed_at IS NULL",
    """
    CREATE TABLE registry.documents (
        kind text NOT NULL CONSTRAINT documents_kind_check CHECK (kind IN ('mesh', 'relay')),
        owner text NOT NULL,
        generation bigint NOT NULL,
        digest text NOT NULL,
        PRIMARY KEY (kind, owner)
    )
    """,
    """
    CREATE TABLE registry.receipts (
        change bigint NOT NULL,
        relay_id text NOT NULL,
        applied_at timestamptz NOT NULL,
        PRIMARY KEY (change, relay_id)
    )
    """,
    """
    CREATE TABLE registry.relay_status (
        relay_id text PRIMARY KEY REFERENCES registry.relays,
        health text NOT NULL DEFAULT 'new',
        health_since timestamptz NOT NULL,
        last_seen timestamptz,
        boot text NOT NULL DEFAULT '',
        note text NOT NULL DEFAULT '',
        mesh_generation bigint NOT NULL DEFAULT 0,
        mesh_digest text NOT NULL DEFAULT '',
        document_generation bigint NOT NULL DEFAULT 0,
        document_digest text NOT NULL DEFAULT '',
        failed jsonb NOT NULL DEFAULT '[]',
        failed_count integer NOT NULL DEFAULT 0,
        applied_at timestamptz,
        load double precision NOT NULL DEFAULT 0,
        memory_used double precision NOT NULL DEFAULT 0,
        versions jsonb NOT NULL DEFAULT '{}'
    ) WITH (fillfactor = 70)
    """,
)


def upgrade() -> None:
    migrate.shared_tables(op, "registry")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
