"""What is told on a line."""

from neural_epitome.training import progress


def test_speed_is_told_with_what_is_known():
  values = {"images_per_second": 12345.6, "input_wait": 0.034}
  assert progress.speed_text({}) == ""
  told = "  12,346 images/s  input wait 3%"
  assert progress.speed_text(values) == told
  told += "  31.2% of peak"
  assert progress.speed_text(values | {"flops_utilisation": 0.312}) == told
  assert progress.speed_text(values | {"images_per_second": 4.56}).startswith("  4.6 ")
