"""Training: the step, its state, evaluation, checkpoints and the loop over them.

`loop.run(config, workdir)` is the way in; `loading.load(run_dir)` the way back.
"""
