"""Rotations of access keys and of clients' keys, beside those of mesh keys.

Revision ID: 0004
Revises: 0003

A network has one open rotation of each kind at most. `until` is the latest date for clients that do not follow by
themselves, `behind` are those; `ordered` is the change with the last order to a relay, whose access key is in its own
document. `progress` counts clients.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE keyd.rotations
        ADD COLUMN of text NOT NULL DEFAULT 'mesh'
            CONSTRAINT rotations_of_check CHECK (of IN ('mesh', 'access', 'client')),
        ADD COLUMN until timestamptz,
        ADD COLUMN progress jsonb NOT NULL DEFAULT '{}'
    """,
    "DROP INDEX keyd.rotations_open",
    "CREATE UNIQUE INDEX rotations_open ON keyd.rotations (network, of) WHERE ended_at IS NULL",
    """
    ALTER TABLE keyd.rotation_relays
        ADD COLUMN behind text[] NOT NULL DEFAULT '{}',
        ADD COLUMN ordered bigint NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE keyd.rotation_policies
        ADD COLUMN of text NOT NULL DEFAULT 'mesh'
            CONSTRAINT rotation_policies_of_check CHECK (of IN ('mesh', 'access', 'client')),
        DROP CONSTRAINT rotation_policies_pkey,
        ADD CONSTRAINT rotation_policies_pkey PRIMARY KEY (network, of)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
