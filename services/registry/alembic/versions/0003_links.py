"""Links that the leader chose, the latencies it chose by, and clients that may be moved.

Revision ID: 0003
Revises: 0002

A network that fits a full mesh has no rows in `links`.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE registry.links (
        id text PRIMARY KEY,
        network_id text NOT NULL REFERENCES registry.networks,
        one text NOT NULL REFERENCES registry.relays,
        other text NOT NULL REFERENCES registry.relays,
        kind text NOT NULL
            CONSTRAINT links_kind_check CHECK (kind IN ('near', 'shortcut', 'region', 'path', 'drained')),
        chosen_at timestamptz NOT NULL,
        CONSTRAINT links_order_check CHECK (one < other AND id = one || '.' || other)
    )
    """,
    "CREATE INDEX links_one ON registry.links (one)",
    "CREATE INDEX links_other ON registry.links (other)",
    "CREATE INDEX links_network ON registry.links (network_id)",
    """
    CREATE TABLE registry.latencies (
        one text NOT NULL REFERENCES registry.relays,
        other text NOT NULL REFERENCES registry.relays,
        milliseconds double precision NOT NULL CONSTRAINT latencies_milliseconds_check CHECK (milliseconds > 0),
        measured_at timestamptz NOT NULL,
        PRIMARY KEY (one, other),
        CONSTRAINT latencies_order_check CHECK (one < other)
    )
    """,
    "ALTER TABLE registry.clients ADD COLUMN movable boolean NOT NULL DEFAULT false",
    "CREATE INDEX clients_movable ON registry.clients (network_id) WHERE movable",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
