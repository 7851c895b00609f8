"""What the registry knows and decides, as values and functions: no SQL, no HTTP, no NATS, no clock of its own."""
