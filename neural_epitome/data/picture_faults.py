"""Why a file cannot be decoded as a picture: what its bytes look like instead."""

import struct

from neural_epitome.data import tiff_tags

# What files that end as pictures often are, by how they begin.
_KINDS = (
  (b"<svg", "it is an SVG drawing"),
  (b"<?xml", "it is XML text"),
  (b"<!doctype html", "it is a web page"),
  (b"<html", "it is a web page"),
  (b"%PDF", "it is a PDF document"),
  (b"PK\x03\x04", "it is a ZIP archive"),
  (b"\x1f\x8b", "it is compressed by gzip"),
  (b"version https://git-lfs", "it is a pointer of Git LFS: run `git lfs pull`"),
)
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"avif": "AVIF"}
_BITS, _FORMAT = 258, 339
_SAMPLES = {1: "whole-number", 2: "signed", 3: "float"}


def reason(data: bytes) -> str:
  """What is wrong with the bytes of a file that cannot be decoded, in words."""
  if not data:
    return "the file is empty"
  if not data.strip(b"\0"):
    return "the file holds zeros alone, as after a broken copy"
  start = data[:64].lstrip().lower()
  for magic, words in _KINDS:
    if start.startswith(magic.lower()):
      return words
  if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
    return (
      f"it is a {_BRANDS[data[8:12]]} picture, which is not read: convert it to JPEG"
    )
  if data[:4] in (b"II*\0", b"MM\0*"):
    return _of_tiff(data)
  return "it is truncated or of an unknown format"


def _of_tiff(data: bytes) -> str:
  try:
    bits, form = (tiff_tags.first_short(data, tag) for tag in (_BITS, _FORMAT))
  except (struct.error, IndexError):
    return "it is a truncated TIFF"
  if bits is not None and bits > 16:
    kind = _SAMPLES.get(form or 1, "unknown")
    return f"it is a TIFF of {bits}-bit {kind} samples: save it with 8 or 16 bits"
  return "it is a truncated TIFF, or of a kind that is not read"
