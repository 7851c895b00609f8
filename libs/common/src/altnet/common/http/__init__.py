"""The REST conventions that every service shares: one application factory, one form of error, one way to page.

Nothing here knows a service; nothing below here knows HTTP.
"""
