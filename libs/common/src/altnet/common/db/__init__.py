"""Postgres: one engine per service and role, units of work, the outbox and inbox, migrations, bulk writes."""
