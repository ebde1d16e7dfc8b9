"""Published peak arithmetic of accelerators, by the name that JAX gives a device."""

# Dense bfloat16 multiply-adds, each 2 FLOP, of one JAX device, in TFLOP/s: from Google
# Cloud's pages of TPU versions and NVIDIA's data sheets, without sparsity. A device is
# a chip, except a TPU v2 or v3, where it is one of the two cores of a chip. T4 and V100
# know no bfloat16: float16.
TERAFLOPS = {
  "TPU v2": 22.5,
  "TPU v3": 61.5,
  "TPU v4": 275.0,
  "TPU v5 lite": 197.0,  # v5e
  "TPU v5e": 197.0,
  "TPU v5": 459.0,  # v5p
  "TPU v5p": 459.0,
  "TPU v6 lite": 918.0,  # v6e
  "TPU v6e": 918.0,
  "Tesla T4": 65.0,
  "Tesla V100": 125.0,
  "NVIDIA L4": 121.0,
  "NVIDIA L40S": 362.0,
  "NVIDIA A100": 312.0,
  "NVIDIA H100": 989.4,
  "NVIDIA H100 PCIe": 756.0,
  "NVIDIA H100 NVL": 835.0,
  "NVIDIA H200": 989.4,
  "NVIDIA H200 NVL": 835.0,
}


def peak_flops(device_kind: str) -> float | None:
  """Peak FLOP/s of one device in bfloat16; None where it is not known.

  Args:
    device_kind: of a `jax.Device`. What follows a name of the table after a space or
      a hyphen (form factor, memory) does not matter, unless it is a slice (MIG).
  """
  if "MIG" in device_kind:
    return None
  names = [
    n for n in TERAFLOPS if f"{device_kind} ".replace("-", " ").startswith(f"{n} ")
  ]
  return 1e12 * TERAFLOPS[max(names, key=len)] if names else None
