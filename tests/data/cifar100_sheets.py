"""Small sheets of random images, as CIFAR-100 was re-packed in."""

import cv2
import numpy as np


def write_sheets(folder, names, rows=1, columns=100, classes=100):
  """Writes sheets, their labels and the names of the classes.

  Returns:
    By sheet, uint8 images (rows * columns, 32, 32, 3) in RGB and labels.
  """
  folder.mkdir(parents=True, exist_ok=True)
  generator, found = np.random.default_rng(0), {}
  for name in names:
    images = generator.integers(0, 256, (rows * columns, 32, 32, 3), np.uint8)
    labels = generator.integers(0, classes, rows * columns).astype(np.uint8)
    sheet = images.reshape(rows, columns, 32, 32, 3).transpose(0, 2, 1, 3, 4)
    sheet = sheet.reshape(rows * 32, columns * 32, 3)
    # Above 100, OpenCV's WebP is lossless.
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
    assert cv2.imwrite(str(folder / f"{name}.webp"), sheet[..., ::-1], lossless)
    found[name] = images, labels
  np.savez(folder / "labels.npz", **{name: label for name, (_, label) in found.items()})
  names_of_classes = [f"class_{i}" for i in range(classes)]
  (folder / "classes.txt").write_text("\n".join(names_of_classes))
  return found
