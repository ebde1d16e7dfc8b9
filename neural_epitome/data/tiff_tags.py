"""The tags of a TIFF file, or of the EXIF part of another file, which is one too."""

import struct

ORIENTATION = 274


def first_short(data: bytes, sought: int) -> int | None:
  """The first value of a tag of short numbers in the first directory.

  Args:
    data: from the TIFF header (`II*` or `MM*`) on.
    sought: number of the tag.

  Returns:
    None if there is no such tag.

  Raises:
    struct.error: if the directory lies outside of `data`.
  """
  order = "<" if data[:2] == b"II" else ">"
  (at,) = struct.unpack_from(order + "I", data, 4)
  (count,) = struct.unpack_from(order + "H", data, at)
  for index in range(count):
    tag, _, length, value = struct.unpack_from(
      order + "HHI4s", data, at + 2 + 12 * index
    )
    if tag == sought:
      place = struct.unpack(order + "I", value)[0] if length > 2 else None
      where, start = (value, 0) if place is None else (data, place)
      return struct.unpack_from(order + "H", where, start)[0]
  return None
