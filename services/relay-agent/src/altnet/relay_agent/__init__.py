"""The relay agent: makes one host what the registry wants it to be. See services/relay-agent/README.md."""

VERSION = "0.1.0"
