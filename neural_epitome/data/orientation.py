"""How a camera was held: EXIF's orientation of a JPEG, and pictures turned upright.

A phone stores the rows of its sensor and says in a tag how to turn them. The tag's
values 1 to 8 are those of the EXIF standard (JEITA CP-3451, tag 274): 5 to 8 swap
height and width, after which rows, columns or both are mirrored.
"""

import struct

import numpy as np

from neural_epitome.data import tiff_tags

UPRIGHT = 1
# What mirrors the rows (top to bottom), and the columns, after axes were swapped.
_ROWS, _COLUMNS = (3, 4, 7, 8), (2, 3, 6, 7)
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_EXIF = b"Exif\0\0"


def of_jpeg(data: bytes) -> int:
  """The orientation of a JPEG file, 1 to 8; 1, upright, where it says none."""
  at = 2
  while at + 4 <= len(data) and data[at] == 0xFF:
    marker = data[at + 1]
    if marker == 0xFF:  # a fill byte
      at += 1
      continue
    if marker == _START_OF_SCAN:
      break
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if marker == _APP1 and data[at + 4 : at + 10] == _EXIF:
      try:
        value = tiff_tags.first_short(data[at + 10 : end], tiff_tags.ORIENTATION)
      except struct.error:
        return UPRIGHT  # pictures with damaged tags are whole pictures
      return UPRIGHT if value is None or not 1 <= value <= 8 else value
    at = end
  return UPRIGHT


def swaps(orientation: int) -> bool:
  """Whether the height of the stored picture is the width of the upright one."""
  return orientation >= 5


def stored_box(
  box: tuple[int, int, int, int], height: int, width: int, orientation: int
) -> tuple[int, int, int, int]:
  """Where a box of the upright picture lies in the stored one.

  Args:
    box: (top, left, height, width) in pixels of the upright picture.
    height: of the upright picture.
    width: of the upright picture.
    orientation: 1 to 8.

  Returns:
    (top, left, height, width) in pixels of the stored picture.
  """
  top, left, box_height, box_width = box
  if orientation in _ROWS:
    top = height - top - box_height
  if orientation in _COLUMNS:
    left = width - left - box_width
  if swaps(orientation):
    return left, top, box_width, box_height
  return top, left, box_height, box_width


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
  """Stored pixels (H, W, C), or a box of them, as they are seen upright; a copy."""
  if orientation == UPRIGHT:
    return pixels
  if swaps(orientation):
    pixels = pixels.swapaxes(0, 1)
  if orientation in _ROWS:
    pixels = pixels[::-1]
  if orientation in _COLUMNS:
    pixels = pixels[:, ::-1]
  return np.ascontiguousarray(pixels)
