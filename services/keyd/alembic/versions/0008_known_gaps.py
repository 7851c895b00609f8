"""Numbers of security events that are missing and that somebody can account for.

Revision ID: 0008
Revises: 0007
"""

from alembic import op
from altnet.common.db import numbers

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(numbers.known_table("keyd"))


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
