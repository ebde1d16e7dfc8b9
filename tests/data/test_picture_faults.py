"""A file that is no picture is told what it is."""

import io

import numpy as np
import pytest
from PIL import Image

from neural_epitome.data import decoding


def saved(pixels, form):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, form)
  return buffer.getvalue()


GREY = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize(
  ("data", "words"),
  [
    (b"", "the file is empty"),
    (b"\0" * 100, "zeros alone"),
    (saved(GREY.astype(np.float32), "TIFF"), "TIFF of 32-bit float samples"),
    (saved(GREY.astype(np.int32), "TIFF"), "TIFF of 32-bit signed samples"),
    (saved(GREY, "TIFF")[:60], "truncated TIFF"),
    (b" <!DOCTYPE html><html>404", "a web page"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50, "HEIC"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    (saved(GREY, "PNG")[:40], "truncated"),
    (b"no picture at all", "unknown format"),
  ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_that_are_no_picture_are_told_what_they_are(data, words, channels, capfd):
  with pytest.raises(decoding.ImageError, match=words) as caught:
    decoding.decode(data, channels)
  assert "\n" not in str(caught.value)
  assert not capfd.readouterr().err


@pytest.mark.parametrize("form", ["TIFF", "PNG", "BMP", "WEBP"])
def test_whole_pictures_are_not_faulted(form):
  assert decoding.decode(saved(GREY, form), 1).shape == (8, 8, 1)
