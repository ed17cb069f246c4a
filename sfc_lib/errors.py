"""The one error that is a user's to mend."""

from __future__ import annotations


class UserError(ValueError):
    """Something a user can mend; the message says where, what was expected, what was found.

    The command line prints its message as one line; any other exception is a fault of this
    library, and shows itself with its traceback.
    """
