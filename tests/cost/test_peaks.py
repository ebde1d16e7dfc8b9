"""Published peaks are found by what JAX calls a device, or not at all."""

import pytest

from neural_epitome.cost import peaks


@pytest.mark.parametrize(
  ("kind", "teraflops"),
  [
    ("TPU v4", 275.0),
    ("TPU v5", 459.0),
    ("TPU v5 lite", 197.0),
    ("NVIDIA A100-SXM4-40GB", 312.0),
    ("NVIDIA A100 80GB PCIe", 312.0),
    ("NVIDIA H100 80GB HBM3", 989.4),
    ("NVIDIA H100 PCIe", 756.0),
    ("NVIDIA L4", 121.0),
    ("NVIDIA L40S", 362.0),
    ("Tesla V100-SXM2-16GB", 125.0),
  ],
)
def test_form_factor_and_memory_do_not_hide_a_device(kind, teraflops):
  assert peaks.peak_flops(kind) == pytest.approx(1e12 * teraflops)


@pytest.mark.parametrize(
  "kind",
  ["cpu", "", "TPU", "TPU v45", "NVIDIA L40", "NVIDIA A100-SXM4-40GB MIG 1g.5gb"],
)
def test_what_is_not_known_is_not_invented(kind):
  assert peaks.peak_flops(kind) is None
