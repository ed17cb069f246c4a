"""The one error that is a user's to mend."""

from __future__ import annotations


class UserError(ValueError):
    """Something a user can mend; the message says where, what was expected, what was found.

    The command line and JupyterLab print its message as one line; any other exception is a fault
    of this library, and shows itself with its traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython prints in place of a traceback."""
        return [str(self)]
