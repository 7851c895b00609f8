"""One receipt for all changes that a relay catches up with at once.

Revision ID: 0007
Revises: 0006

A row a change and relay is a million rows when a thousand relays come back from an outage of a thousand changes. What
a relay says, two generations and the time, holds the same. Receipts that there are go: completed changes have their
summary, and of open ones each relay's last report decides.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    "DROP TABLE registry.receipts",
    """
    CREATE TABLE registry.acknowledgements (
        relay_id text NOT NULL,
        mesh bigint NOT NULL,
        document bigint NOT NULL,
        at timestamptz NOT NULL,
        PRIMARY KEY (relay_id, mesh, document)
    )
    """,
    "CREATE INDEX acknowledgements_document ON registry.acknowledgements (relay_id, document, mesh)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back means restoring a backup (docs/operations.md)")
