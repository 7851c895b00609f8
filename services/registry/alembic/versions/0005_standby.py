"""Clients that follow by themselves, and the relay that they go to when their own is away.

Revision ID: 0005
Revises: 0004

Clients of before stay where they are: they are not movable, and have no standby relay.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE registry.clients ADD COLUMN standby_id text
        CONSTRAINT clients_standby_id_fkey REFERENCES registry.relays
    """,
    """
    ALTER TABLE registry.clients
        ADD CONSTRAINT clients_standby_check CHECK (standby_id IS NULL OR (movable AND standby_id <> relay_id))
    """,
    "CREATE INDEX clients_standby ON registry.clients (standby_id) WHERE standby_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
