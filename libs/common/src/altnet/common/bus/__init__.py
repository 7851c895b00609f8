"""The bus: everything that speaks NATS, on raw nats-py.

Connections and identities (`connect`, `jwt`), events (`publish`, `consume`), desired state (`desired`), requests
(`rpc`), and the one place that builds subjects (`subjects`). Nothing above this package imports nats-py.
"""
