"""Decoding pictures: whole, or a region resized to the network's input.

JPEG goes through simplejpeg (libjpeg-turbo), everything else through OpenCV. Both
release the interpreter's lock and decode a whole JPEG in about the same time; the
difference is what can be left out. A crop needs neither the rows below it (the
picture is decoded as if it ended there) nor, when it is to be shrunk by two or
more, the finest frequencies (libjpeg decodes at 1/2, 1/4 or 1/8, which is also the
antialiasing that bicubic resampling lacks).

Colours are RGB. Transparency is dropped, palettes are looked up, 16 bits become 8,
CMYK becomes RGB. Pictures are turned upright as their EXIF orientation says, of every
form: a phone's portrait is one for training, evaluation, prediction and preparation
alike, which all decode here.
"""

from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg

from neural_epitome.data import orientation, picture_faults

# Parallelism is by image; OpenCV's own threads would only compete with it.
cv2.setNumThreads(0)
# What cannot be decoded is an error with a reason; its own lines name no file.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# (top, left, height, width) in pixels of the whole picture.
Box = tuple[int, int, int, int]
# From the height and width of a picture to the box that is cut out of it.
BoxOf = Callable[[int, int], Box]

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Chroma upsampling looks one chroma row, two picture rows, past the last one kept.
_ROWS_BELOW = 2


class ImageError(ValueError):
  """Raised for bytes that are not a whole picture; the caller adds the file's name."""


def decode(data: bytes, channels: int) -> np.ndarray:
  """Decodes a whole picture.

  Args:
    data: a JPEG, PNG, WebP, BMP or TIFF file.
    channels: 1 for grey, 3 for RGB.

  Returns:
    uint8 (H, W, channels), upright.

  Raises:
    ImageError: if `data` is truncated or not a picture.
  """
  if is_jpeg(data):
    height, width, colorspace = _jpeg_header(data)
    if colorspace not in ("CMYK", "YCCK"):
      pixels = _decode_jpeg(data, height, width, channels)
      return orientation.turned(pixels, orientation.of_jpeg(data))
  return _decode_other(data, channels)


def size_of(data: bytes) -> tuple[int, int]:
  """Returns (height, width) in pixels, upright; reads only the header of a JPEG.

  Raises:
    ImageError: if `data` is truncated or not a picture.
  """
  if is_jpeg(data):
    height, width, _ = _jpeg_header(data)
    is_turned = orientation.swaps(orientation.of_jpeg(data))
    return (width, height) if is_turned else (height, width)
  return _decode_other(data, 1).shape[:2]


def resized_region(
  image: bytes | np.ndarray, box_of: BoxOf, size: int, channels: int
) -> np.ndarray:
  """Cuts a box out of a picture and resizes it to a square.

  A box at least twice the size of the square is first shrunk by a power of two by
  averaging; the rest of the way is bicubic (OpenCV's, a = -0.75).

  Args:
    image: an encoded picture, or uint8 (H, W, channels).
    box_of: returns the box from the picture's (height, width).
    size: height and width of the result, pixels.
    channels: 1 for grey, 3 for RGB.

  Returns:
    uint8 (size, size, channels); may be a view of `image`.

  Raises:
    ImageError: if the encoded picture is truncated or not a picture.
  """
  if isinstance(image, bytes) and is_jpeg(image):
    height, width, colorspace = _jpeg_header(image)
    if colorspace not in ("CMYK", "YCCK"):
      how = orientation.of_jpeg(image)
      upright = (width, height) if orientation.swaps(how) else (height, width)
      box = orientation.stored_box(box_of(*upright), *upright, how)
      top, left, box_height, box_width = box
      shrink = _shrink(box_height, box_width, size)
      bottom = min(height, top + box_height + _ROWS_BELOW * shrink)
      pixels = _decode_jpeg(image, height, width, channels, bottom, shrink)
      rows = slice(top // shrink, -(-(top + box_height) // shrink))
      columns = slice(left // shrink, -(-(left + box_width) // shrink))
      return _resize(orientation.turned(pixels[rows, columns], how), size)
  if isinstance(image, bytes):
    image = _decode_other(image, channels)
  top, left, height, width = box_of(*image.shape[:2])
  image = image[top : top + height, left : left + width]
  shrink = _shrink(height, width, size)
  if shrink > 1:
    smaller = (-(-width // shrink), -(-height // shrink))
    image = _with_channels(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA))
  return _resize(image, size)


def is_jpeg(data: bytes) -> bool:
  """Whether `data` starts as a JPEG file does."""
  return data[:2] == _JPEG_START


def convert_channels(image: np.ndarray, channels: int) -> np.ndarray:
  """Converts uint8 (H, W) or (H, W, 1, 3 or 4) to uint8 (H, W, channels)."""
  image = _with_channels(image)
  if image.shape[2] == 4:
    image = image[:, :, :3]
  if image.shape[2] == channels:
    return image
  code = cv2.COLOR_RGB2GRAY if channels == 1 else cv2.COLOR_GRAY2RGB
  return _with_channels(cv2.cvtColor(np.ascontiguousarray(image), code))


def _with_channels(image: np.ndarray) -> np.ndarray:
  # OpenCV drops the channel axis of grey pictures.
  return image[:, :, None] if image.ndim == 2 else image


def _shrink(height: int, width: int, size: int) -> int:
  shrink = 1
  while shrink < 8 and min(height, width) >= 2 * shrink * size:
    shrink *= 2
  return shrink


def _resize(image: np.ndarray, size: int) -> np.ndarray:
  if image.shape[:2] == (size, size):
    return image
  return _with_channels(cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC))


def _jpeg_header(data: bytes) -> tuple[int, int, str]:
  try:
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
  except ValueError as error:
    raise ImageError(str(error)) from None
  # libjpeg fills what is missing with grey and only warns.
  if data[-2:] != _JPEG_END and data.rfind(_JPEG_END, len(data) // 2) < 0:
    raise ImageError("the file is truncated")
  return int(height), int(width), colorspace


def _decode_jpeg(
  data: bytes,
  height: int,
  width: int,
  channels: int,
  bottom: int | None = None,
  shrink: int = 1,
) -> np.ndarray:
  if bottom is not None and bottom < height:
    data, height = _ends_at(data, bottom), bottom
  try:
    return simplejpeg.decode_jpeg(
      data,
      "GRAY" if channels == 1 else "RGB",
      min_height=-(-height // shrink),
      min_width=-(-width // shrink),
      # The accurate transform costs nothing measurable; warnings ("extraneous
      # bytes") are common in photographs that decode well.
      strict=False,
    )
  except ValueError as error:
    raise ImageError(str(error)) from None


def _ends_at(data: bytes, bottom: int) -> bytes:
  """The same JPEG with `bottom` in place of the height in its frame header."""
  at = 2
  while at + 9 < len(data) and data[at] == 0xFF:
    marker = data[at + 1]
    # SOF0 to SOF15, less the tables (DHT, JPG, DAC) that share their range.
    if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
      return b"".join((data[: at + 5], bottom.to_bytes(2, "big"), data[at + 7 :]))
    if marker == 0xFF:  # a fill byte
      at += 1
      continue
    at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
  raise ImageError("it has no frame header")


def _decode_other(data: bytes, channels: int) -> np.ndarray:
  mode = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
  try:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
  except cv2.error:
    pixels = None
  if pixels is None:
    raise ImageError(picture_faults.reason(data))
  return _with_channels(pixels)
