"""Rotations that are owed for revoked access keys, beside those for mesh keys.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE keyd.key_debts ADD COLUMN of text NOT NULL DEFAULT 'mesh' CHECK (of IN ('mesh', 'access'))")


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
