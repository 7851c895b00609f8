"""The `altnet` command: the control plane in one process, one service alone, the lab, administration.

The only distribution that knows every service.
"""
