"""What --mode runs, one file each: a face of flags on a function of some other room.

A mode is a module of the name that `flags.MODES` lists, with

  run(arguments, overrides): does it; `arguments` are what is no flag, `overrides` the
    values of --config.FIELD.
  SEVERAL_PROCESSES: whether several processes of a cluster can do it together.
"""
