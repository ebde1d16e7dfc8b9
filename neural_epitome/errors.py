"""The one exception meant for the person at the keyboard."""


class UserError(ValueError):
  """A mistake in what the user asked for, told in one line that names the fix.

  The command line prints the message without a traceback and exits with code 1;
  a notebook sees an ordinary exception.
  """
