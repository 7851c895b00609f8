"""Use cases: one async function each, from a unit of work and a command to a result. Endpoints call them, tests too.

A handler reads with a lock what it changes, checks, changes, and last of all takes the number of the change. Whoever
opened the unit of work commits it.
"""
