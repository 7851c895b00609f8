"""keyd: who the hosts are, by their keys, and a channel to each of them that the bus cannot read.

Read README.md, then `domain/identities`, `channel`, `handlers/contact`.
"""
