"""Files of trained weights: any format read by its content, and written again.

`weights_file.read` gives arrays by name with the layouts of kernels, and
`writing.write` puts them back. `conversion` makes a network of ours of them.
"""
