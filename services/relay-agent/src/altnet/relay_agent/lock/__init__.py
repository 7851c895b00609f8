"""The network lock on a host: what of the desired state is signed for (`filter`), the wish that is left (`accepted`),
and the log, statements and certificates that decide it (`keeper`, kept on the disk by `memory`).
"""
