"""Pure rules: what an identity becomes, and how a private key lies in the database. No SQL, no HTTP, no NATS."""
