"""The exceptions meant for the person at the keyboard."""


class UserError(ValueError):
  """A mistake in what the user asked for, told in one line that names the fix.

  The command line prints the message without a traceback and exits with code 1;
  a notebook sees an ordinary exception.
  """


class FileError(UserError):
  """A file that cannot be read, which says nothing of the others."""
