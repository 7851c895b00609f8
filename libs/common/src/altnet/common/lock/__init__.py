"""The network lock, pure: who may say what is in a network, so that no server has to be believed.

    log            owners' entries, each signed by k of them: who owners and authorities are, and whether it is on
    statements     an authority says which relay has which identity key and prefixes, which client which key
    certificates   a host's identity key says which WireGuard keys are the host's: a rotated key needs no authority
    book           the three together, as one host knows them: what of them counts now

Keys are Ed25519. What is signed is JSON (`encoding`), signed for one purpose each (`altnet.common.signing`).
Leaves out how entries travel, and what an agent makes of them. Invariant: nothing comes to count by being told twice,
late, out of order, or by somebody who does not hold the keys.
"""
