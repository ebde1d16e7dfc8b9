"""The modes of the command line, a module each.

A mode reads its flags, calls the function of another room that does the work, and
prints the result. Its module has the name that `flags.MODES` lists, and

  run(arguments, overrides): runs the mode. `arguments` are the positional arguments,
    `overrides` the (dotted field, value) pairs of --config.FIELD=VALUE. It raises
    UserError for flags that do not fit the mode.
  SEVERAL_PROCESSES: whether the mode can run in several processes of a cluster.
"""
