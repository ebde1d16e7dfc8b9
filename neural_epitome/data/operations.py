"""Image operations of the augmentation policies, on uint8 (H, W, C), RGB or grey.

They follow Pillow, on which AutoAugment and RandAugment were defined, and run on
OpenCV. No kept library offers the two policies without PyTorch or TensorFlow
(albumentations is archived, its successor AGPL).
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike

# What a turn or a shift uncovers, near the mean of ImageNet.
_FILL = (124, 116, 104, 0)


def look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
  """Maps every value of `image` through `table`, uint8 (256,) or (256, C)."""
  if table.ndim == 2:
    table = table[None]
  return cv2.LUT(image, table).reshape(image.shape)


def grey(image: np.ndarray) -> np.ndarray:
  """The luma of `image`, uint8 (H, W)."""
  if image.shape[2] == 1:
    return image[:, :, 0]
  return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)


def _blend(background: float, factor: float) -> np.ndarray:
  """The table of background + factor * (value - background)."""
  values = background + factor * (np.arange(256, dtype=np.float32) - background)
  return np.clip(values, 0, 255).astype(np.uint8)


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
  """Scales all values; 0 is black, 1 leaves the image as it is."""
  return look_up(image, _blend(0.0, factor))


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
  """Scales the distance from the mean luma; 0 is plain grey."""
  return look_up(image, _blend(int(grey(image).mean() + 0.5), factor))


def color(image: np.ndarray, factor: float) -> np.ndarray:
  """Scales the distance from the luma; 0 is a grey image. Grey stays as it is."""
  if image.shape[2] == 1:
    return image
  plain = cv2.cvtColor(grey(image), cv2.COLOR_GRAY2RGB)
  return cv2.addWeighted(image, factor, plain, 1 - factor, 0)


_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
  """Scales the distance from a smoothed image; the border stays as it is."""
  smooth = image.copy()
  filtered = cv2.filter2D(np.ascontiguousarray(image), -1, _SMOOTH)
  smooth[1:-1, 1:-1] = filtered.reshape(image.shape)[1:-1, 1:-1]
  return cv2.addWeighted(image, factor, smooth, 1 - factor, 0).reshape(image.shape)


def invert(image: np.ndarray) -> np.ndarray:
  """255 minus every value."""
  return 255 - image


def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
  """Inverts the values at or above `threshold`."""
  values = np.arange(256)
  return look_up(image, np.where(values < threshold, values, 255 - values).astype("u1"))


def posterize(image: np.ndarray, bits: int) -> np.ndarray:
  """Keeps the highest `bits` of each value."""
  return image & np.uint8(256 - (1 << (8 - bits)))


def autocontrast(image: np.ndarray) -> np.ndarray:
  """Stretches each channel to the full range."""
  tables = []
  for channel in range(image.shape[2]):
    low, high, *_ = cv2.minMaxLoc(np.ascontiguousarray(image[:, :, channel]))
    values = np.arange(256, dtype=np.float64)
    if high > low:
      # Scale and offset apart, then truncation: Pillow's rounding.
      scale = 255.0 / (high - low)
      values = np.clip(np.trunc(values * scale - low * scale), 0, 255)
    tables.append(values.astype(np.uint8))
  return look_up(image, np.stack(tables, -1))


def equalize(image: np.ndarray) -> np.ndarray:
  """Flattens the histogram of each channel."""
  tables = []
  for channel in range(image.shape[2]):
    counts = np.bincount(image[:, :, channel].ravel(), minlength=256)
    present = counts[counts > 0]
    step = int(present[:-1].sum()) // 255
    table = np.arange(256)
    if step:
      before = np.concatenate([[0], np.cumsum(counts)[:-1]])
      table = np.minimum((step // 2 + before) // step, 255)
    tables.append(table.astype(np.uint8))
  return look_up(image, np.stack(tables, -1))


def affine(image: np.ndarray, matrix: ArrayLike) -> np.ndarray:
  """Fills (x, y) of the result from `matrix` @ (x, y, 1) of `image`, bilinearly."""
  height, width, channels = image.shape
  moved = cv2.warpAffine(
    image,
    np.asarray(matrix, np.float32),
    (width, height),
    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    borderMode=cv2.BORDER_CONSTANT,
    borderValue=_FILL if channels == 3 else _FILL[1],
  )
  return moved.reshape(image.shape)


def shear_x(image: np.ndarray, slope: float) -> np.ndarray:
  """Slants the image along x by `slope` pixels a row."""
  return affine(image, [[1, slope, 0], [0, 1, 0]])


def shear_y(image: np.ndarray, slope: float) -> np.ndarray:
  """Slants the image along y by `slope` pixels a column."""
  return affine(image, [[1, 0, 0], [slope, 1, 0]])


def translate_x(image: np.ndarray, share: float) -> np.ndarray:
  """Moves the image to the left by `share` of its width."""
  return affine(image, [[1, 0, share * image.shape[1]], [0, 1, 0]])


def translate_y(image: np.ndarray, share: float) -> np.ndarray:
  """Moves the image up by `share` of its height."""
  return affine(image, [[1, 0, 0], [0, 1, share * image.shape[0]]])


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
  """Turns the image about its centre, counter-clockwise."""
  height, width = image.shape[:2]
  centre = ((width - 1) / 2, (height - 1) / 2)
  return affine(image, cv2.getRotationMatrix2D(centre, -degrees, 1.0))
