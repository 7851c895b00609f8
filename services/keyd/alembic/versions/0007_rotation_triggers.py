"""Policies say whether a new owner's key and suspicion start a rotation; what is wished for waits in a row.

Revision ID: 0007
Revises: 0006

A network has one wish for each kind of keys at most: a rotation that was wished for twice is one.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE keyd.rotation_policies
        ADD COLUMN on_new_owner boolean NOT NULL DEFAULT false,
        ADD COLUMN on_suspicion boolean NOT NULL DEFAULT true
    """,
    """
    CREATE TABLE keyd.rotation_wishes (
        network text NOT NULL,
        of text NOT NULL CONSTRAINT rotation_wishes_of_check CHECK (of IN ('mesh', 'access', 'client')),
        reason text NOT NULL,
        wished_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        PRIMARY KEY (network, of)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
