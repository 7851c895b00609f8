"""Client of Altnet REST API."""
