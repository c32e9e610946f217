"""The ways a letter may go: by mail, or into a room of a chat service or a program behind a webhook.

`open_mailer` gives the one Mailer for all of them. Each service is one small module with two functions: `request` makes
an HTTP request of a letter, and `judge` says from the service's own words what became of it.
"""

from liftlock.adapters.channels.post import look, open_mailer

__all__ = ["look", "open_mailer"]
