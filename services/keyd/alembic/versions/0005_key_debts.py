"""Rotations that are owed for revoked keys; the history of hosts' WireGuard keys beside that of their identity keys.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE keyd.key_debts (
        key text PRIMARY KEY,
        relay text NOT NULL,
        network text NOT NULL,
        reason text NOT NULL DEFAULT '',
        owed_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL
    )
    """,
    "ALTER TABLE keyd.identity_keys DROP CONSTRAINT identity_keys_use_check",
    """
    ALTER TABLE keyd.identity_keys ADD CONSTRAINT identity_keys_use_check
        CHECK (use IN ('static', 'signing', 'mesh', 'access'))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
