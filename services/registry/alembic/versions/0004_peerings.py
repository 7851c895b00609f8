"""Peerings with routers outside, what relays say of their routing, and what neighbours told.

Revision ID: 0004
Revises: 0003

Learned and refused routes go with their peering; the handler that removes it tells of them first.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE registry.peerings (
        id text PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        relay_id text NOT NULL REFERENCES registry.relays,
        name text NOT NULL,
        address text NOT NULL,
        interface text NOT NULL DEFAULT '',
        source text NOT NULL DEFAULT '',
        asn bigint NOT NULL CONSTRAINT peerings_asn_check CHECK (asn BETWEEN 1 AND 4294967294),
        local_asn bigint CONSTRAINT peerings_local_asn_check CHECK (local_asn BETWEEN 1 AND 4294967294),
        families text[] NOT NULL CONSTRAINT peerings_families_check
            CHECK (cardinality(families) > 0 AND families <@ ARRAY['ipv6', 'ipv4']),
        imports jsonb NOT NULL DEFAULT '[]',
        exports jsonb NOT NULL DEFAULT '[]',
        accept_everything boolean NOT NULL DEFAULT false,
        announce_everything boolean NOT NULL DEFAULT false,
        import_limit integer NOT NULL CONSTRAINT peerings_import_limit_check CHECK (import_limit BETWEEN 1 AND 1000000),
        export_limit integer NOT NULL CONSTRAINT peerings_export_limit_check CHECK (export_limit BETWEEN 1 AND 1000000),
        password text NOT NULL DEFAULT '',
        password_key text NOT NULL DEFAULT '',
        bfd boolean NOT NULL DEFAULT false,
        multihop integer NOT NULL DEFAULT 0 CONSTRAINT peerings_multihop_check CHECK (multihop BETWEEN 0 AND 255),
        ttl_security boolean NOT NULL DEFAULT false,
        passive boolean NOT NULL DEFAULT false,
        hold_time integer NOT NULL CONSTRAINT peerings_hold_time_check CHECK (hold_time BETWEEN 3 AND 65535),
        restart_time integer NOT NULL CONSTRAINT peerings_restart_time_check CHECK (restart_time BETWEEN 0 AND 4095),
        preference integer NOT NULL CONSTRAINT peerings_preference_check CHECK (preference BETWEEN 0 AND 65535),
        enabled boolean NOT NULL DEFAULT true,
        labels jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        CONSTRAINT peerings_name_key UNIQUE (network_id, name),
        CONSTRAINT peerings_neighbour_key UNIQUE (relay_id, address, interface),
        CONSTRAINT peerings_id_relay_key UNIQUE (id, relay_id),
        CONSTRAINT peerings_password_check CHECK ((password = '') = (password_key = ''))
    )
    """,
    """
    CREATE TABLE registry.peering_status (
        peering_id text PRIMARY KEY REFERENCES registry.peerings ON DELETE CASCADE,
        standing text NOT NULL CONSTRAINT peering_status_standing_check CHECK (standing IN ('new', 'up', 'down')),
        since timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE registry.learned_routes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        relay_id text NOT NULL,
        peering_id text NOT NULL,
        prefix cidr NOT NULL,
        as_path bigint[] NOT NULL DEFAULT '{}',
        next_hop text NOT NULL DEFAULT '',
        communities text[] NOT NULL DEFAULT '{}',
        since timestamptz NOT NULL,
        CONSTRAINT learned_routes_key UNIQUE (peering_id, prefix),
        FOREIGN KEY (peering_id, relay_id) REFERENCES registry.peerings (id, relay_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX learned_routes_relay ON registry.learned_routes (relay_id)",
    "CREATE INDEX learned_routes_prefix ON registry.learned_routes USING gist (prefix inet_ops)",
    """
    CREATE TABLE registry.refused_routes (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        relay_id text NOT NULL,
        peering_id text NOT NULL,
        prefix cidr NOT NULL,
        reason text NOT NULL,
        as_path bigint[] NOT NULL DEFAULT '{}',
        since timestamptz NOT NULL,
        CONSTRAINT refused_routes_key UNIQUE (peering_id, prefix, reason),
        FOREIGN KEY (peering_id, relay_id) REFERENCES registry.peerings (id, relay_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX refused_routes_relay ON registry.refused_routes (relay_id)",
    "ALTER TABLE registry.relay_status ADD COLUMN routing jsonb",
    "ALTER TABLE registry.relay_status ADD COLUMN learned_digest text NOT NULL DEFAULT ''",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
