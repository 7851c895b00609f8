"""The shared tables alone, for tests that need no service."""

from alembic import context, op
from altnet.common.db.migrate import shared_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    shared_tables(op, context.get_context().version_table_schema)
