"""Numbers of security events that are missing and that somebody can account for.

Revision ID: 0014
Revises: 0013
"""

from alembic import op
from altnet.common.db import numbers

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(numbers.known_table("registry"))


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
