"""A relay has the identity that keyd has seen proven: other relays know it by that.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE registry.relays
        ADD COLUMN proven_static text NOT NULL DEFAULT '',
        ADD COLUMN proven_signing text NOT NULL DEFAULT '',
        ADD CONSTRAINT relays_proven_check CHECK ((proven_static = '') = (proven_signing = ''))
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
