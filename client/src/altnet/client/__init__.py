"""altnetd: makes one host a client of an Altnet network, and keeps it connected when a relay dies."""

VERSION = "0.1.0"
