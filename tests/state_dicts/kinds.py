"""Small files of every kind, written by the libraries whose formats they are."""

import warnings

import numpy as np
from flax import serialization
from safetensors.numpy import save_file

from tests.state_dicts import files


def torch(path, state):
  files.save(path, state)


def npz(path, state):
  with path.open("wb") as file:
    plain = {
      name: array.view("V2") if array.dtype.name == "bfloat16" else array
      for name, array in state.items()
    }
    np.savez(file, **plain)


def msgpack(path, state):
  path.write_bytes(serialization.msgpack_serialize(dict(state)))


def orbax(path, state):
  import orbax.checkpoint as ocp

  with warnings.catch_warnings(), ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(path.absolute(), {n: np.asarray(a) for n, a in state.items()})


def onnx(path, state):
  """A graph whose first array is a convolution's kernel; float arrays only."""
  import onnx

  kernel, *others = state
  made = [onnx.numpy_helper.from_array(a, name) for name, a in state.items()]
  node = onnx.helper.make_node("Conv", ["image", kernel, *others[:1]], ["y"])
  graph = onnx.helper.make_graph(
    [node],
    "net",
    [onnx.helper.make_tensor_value_info("image", 1, None)],
    [onnx.helper.make_tensor_value_info("y", 1, None)],
    made,
  )
  path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


WRITERS = {
  "torch": torch,
  "safetensors": lambda path, state: save_file(dict(state), path),
  "npz": npz,
  "msgpack": msgpack,
  "orbax": orbax,
  "onnx": onnx,
}
