"""Image files of every mode: converted to values worked out by hand, or refused by name."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collapsebench.datasets._pixels import read_rgb
from collapsebench.settings import UserError

RAMP = np.tile(np.arange(32, dtype=np.uint16) * 2048, (32, 1))  # 0, 2048, ... 63 488
RAMP_IN_8_BITS = np.rint(RAMP[0] / 65535 * 255).tolist()
PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def _png(array: np.ndarray, bits: int, colour_type: int, width: int = 0) -> bytes:
    """A PNG by hand, for what Pillow cannot write; it may say another width than it has."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content)
        )  # fmt: skip

    height, columns = array.shape[:2]
    header = struct.pack(">IIBBBBB", width or columns, height, bits, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in array)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def _saved(image: Image.Image, name: str, **options: object) -> bytes:
    file = io.BytesIO()
    suffix = Path(name).suffix[1:]
    image.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()), **options)
    return file.getvalue()


def _bomb(side: int) -> bytes:
    return _png(np.zeros((side, 1), np.uint8), 8, 0, width=side)


@pytest.fixture
def read(tmp_path):
    """``read("a.png", content)`` -> the pixels (H, W, 3)."""

    def write(name: str, content: bytes) -> np.ndarray:
        (tmp_path / name).write_bytes(content)
        image = read_rgb(tmp_path / name)
        assert image.mode == "RGB"
        return np.asarray(image)

    return write


def _pgm(array: np.ndarray, white: int) -> bytes:
    return b"P5 32 32 %d\n" % white + array.astype(">u2").tobytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.png", _saved(Image.fromarray(RAMP), "a.png"), id="png"),
        pytest.param("a.tif", _saved(Image.fromarray(RAMP), "a.tif"), id="tiff"),
        pytest.param(
            "a.tif", _saved(Image.fromarray(RAMP), "a.tif", compression="tiff_lzw"), id="tiff lzw"
        ),
        pytest.param(
            "a.tif", _saved(Image.fromarray(RAMP.astype(">u2")), "a.tif"), id="big-endian tiff"
        ),
        pytest.param("a.ppm", _pgm(RAMP, 65535), id="pgm"),
    ],
)
def test_sixteen_bits_are_scaled_and_rounded(read, name, content):
    pixels = read(name, content)
    assert [RAMP_IN_8_BITS[i] for i in (0, 1, 2, 16, 31)] == [0, 8, 16, 128, 247]
    assert (pixels == np.array(RAMP_IN_8_BITS)[None, :, None]).all()


def test_twelve_bits_are_scaled_by_their_own_white(read):
    pixels = read("a.ppm", _pgm(RAMP // 16, white=4095))
    assert pixels[0, :, 0].tolist() == np.rint(RAMP[0] // 16 / 4095 * 255).tolist()


def test_every_level_of_sixteen_bits_is_the_nearest_of_eight(read):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    pixels = read("a.png", _saved(Image.fromarray(levels), "a.png"))
    assert (pixels[..., 0] == np.rint(levels / 257)).all()


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tif", "a.webp", "a.gif"])
def test_eight_bit_rgb_stays_as_it_is(read, name):
    image = Image.fromarray(PICTURE)
    pixels = read(name, _saved(image, name, **({"lossless": True} if name == "a.webp" else {})))
    assert (pixels == PICTURE).all() or name == "a.gif"  # 54 colours of a palette
    assert np.abs(pixels.astype(int) - PICTURE).max() < 4


def test_grey_palette_and_single_bits_keep_their_levels(read):
    grey = Image.fromarray(PICTURE[..., 0])
    assert (read("a.png", _saved(grey, "a.png")) == PICTURE[..., :1]).all()
    palette = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3), "L").convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 1, 2, 3, 4, 5, 6])
    assert read("b.png", _saved(palette, "b.png"))[1, 0].tolist() == [100, 110, 120]
    bits = Image.fromarray(PICTURE[..., 0] > 127)
    expected = (PICTURE[..., :1] > 127) * 255
    assert (read("c.png", _saved(bits, "c.png")) == expected).all()
    assert (read("c.tif", _saved(bits, "c.tif")) == expected).all()
    white_is_zero = _saved(grey, "d.tif", tiffinfo={262: 0})
    assert (read("d.tif", white_is_zero) == PICTURE[..., :1]).all()
    five_six_five = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0) + struct.pack(
        "<IIIHH", 0xF800, 0x7E0, 0x1F, 0xF800, 0
    )
    assert read("e.bmp", b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + five_six_five).tolist() == [
        [[255, 0, 0]]
    ]


def test_cmyk_is_ink_on_white(read):
    # 255 (1 - C)(1 - K): no red through full cyan, four fifths of the rest through a fifth of black
    cmyk = Image.new("CMYK", (8, 8), (255, 0, 0, 51))
    assert read("a.tif", _saved(cmyk, "a.tif"))[0, 0].tolist() == [0, 204, 204]
    assert read("a.jpg", _saved(cmyk, "a.jpg", quality=100))[0, 0].tolist() == [0, 204, 204]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_transparent_pixels_are_laid_on_white(read, name):
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[..., :3] = [200, 0, 100]  # hidden where alpha is 0
    rgba[:, 1, 3], rgba[:, 2, 3] = 128, 255
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    pixels = read(name, _saved(Image.fromarray(rgba), name, **options))
    # a half: 255 - (255 - c) 128/255
    assert pixels[0].tolist() == [[255, 255, 255], [227, 127, 177], [200, 0, 100]]


def test_hidden_colours_of_grey_and_palettes_stay_hidden(read):
    grey = Image.new("LA", (4, 4), (70, 0))
    assert (read("a.png", _saved(grey, "a.png")) == 255).all()
    keyed = Image.new("L", (4, 4), 70)
    assert (read("b.png", _saved(keyed, "b.png", transparency=70)) == 255).all()
    assert (read("c.png", _saved(keyed, "c.png", transparency=71)) == 70).all()
    palette = keyed.convert("P")
    assert (read("d.png", _saved(palette, "d.png", transparency=bytes(256))) == 255).all()
    assert (read("e.gif", _saved(palette, "e.gif", transparency=70)) == 255).all()
    coloured = Image.new("RGB", (4, 4), (1, 2, 3))
    assert (read("f.png", _saved(coloured, "f.png", transparency=(1, 2, 3))) == 255).all()


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, PICTURE),
        (2, PICTURE[:, ::-1]),
        (3, PICTURE[::-1, ::-1]),
        (4, PICTURE[::-1]),
        (5, PICTURE.swapaxes(0, 1)),
        (6, PICTURE[::-1].swapaxes(0, 1)),
        (7, PICTURE[::-1, ::-1].swapaxes(0, 1)),
        (8, PICTURE[:, ::-1].swapaxes(0, 1)),
        (9, PICTURE),
    ],
)
def test_pictures_are_turned_as_the_camera_noted(read, name, orientation, upright):
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(np.kron(PICTURE, np.ones((8, 8, 1), np.uint8)))  # for JPEG's blocks
    options = {"lossless": True} if name == "a.webp" else {"subsampling": 0, "quality": 100}
    pixels = read(name, _saved(image, name, exif=exif, **(options if name[2] in "wj" else {})))
    assert np.abs(pixels[4::8, 4::8].astype(int) - upright).max() <= 3 * (name == "a.jpg")


def test_sixteen_bits_are_turned_too(read):
    exif = Image.Exif()
    exif[274] = 6
    pixels = read("a.png", _saved(Image.fromarray(RAMP), "a.png", exif=exif))
    assert pixels[:, 0, 0].tolist() == RAMP_IN_8_BITS


def test_previews_in_a_cameras_jpeg_do_not_count(read):
    file, image = io.BytesIO(), Image.fromarray(PICTURE).resize((32, 32))
    image.save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert read("a.jpg", file.getvalue()).shape == (32, 32, 3)


DEEP = np.repeat(RAMP[..., None], 4, -1).astype(">u2")
SECOND = [Image.fromarray(PICTURE[::-1])]
PAGES = {"save_all": True, "append_images": SECOND}
FLOATS = Image.fromarray(RAMP.astype(np.float32) / 65535)
REFUSED = {
    "16-bit RGB": ("a.png", _png(DEEP[..., :3], 16, 2), "16 bits in each of several channels"),
    "16-bit RGBA": ("a.png", _png(DEEP, 16, 6), "16 bits in each of several channels"),
    "16-bit grey and alpha": ("a.png", _png(DEEP[..., :2], 16, 4), "16 bits in each of several"),
    "32-bit integers": (
        "a.tif", _saved(Image.fromarray(RAMP.astype(np.int32)), "a.tif"), "32-bit integers",
    ),
    "floats": ("a.tif", _saved(FLOATS, "a.tif"), "its pixels are floats"),
    "Lab": ("a.tif", _saved(Image.new("LAB", (4, 4)), "a.tif"), "its mode is LAB"),
    "16-bit white is zero": (
        "a.tif", _saved(Image.fromarray(RAMP), "a.tif", tiffinfo={262: 0}), "its white is 0",
    ),
    "16-bit transparent level": (
        "a.png", _saved(Image.fromarray(RAMP), "a.png", transparency=2048), "means transparent",
    ),
    "gif of 2": ("a.gif", _saved(Image.fromarray(PICTURE), "a.gif", **PAGES), "2 frames or pages"),
    "png of 2": ("a.png", _saved(Image.fromarray(PICTURE), "a.png", **PAGES), "2 frames or pages"),
    "webp of 2": (
        "a.webp", _saved(Image.fromarray(PICTURE), "a.webp", **PAGES), "2 frames or pages",
    ),
    "tiff of 2": ("a.tif", _saved(Image.fromarray(PICTURE), "a.tif", **PAGES), "2 frames or pages"),
    "line": ("a.png", _saved(Image.new("L", (4000, 3)), "a.png"), "a line of 4000 x 3 pixels"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_certain_meaning_is_refused_by_name(read, name, content, reason):
    with pytest.raises(UserError, match=rf"/{name} is refused: .*{reason}.*; allowed: one picture"):
        read(name, content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "cannot identify", id="empty"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", "cannot identify", id="a program in PostScript"),
        pytest.param(_saved(Image.fromarray(PICTURE), "a.png")[:90], "", id="truncated"),
        pytest.param(_saved(Image.fromarray(PICTURE), "a.gif")[:20], "", id="truncated gif"),
        pytest.param(_bomb(10_000), "100000000 pixels", id="bomb that Pillow only warns of"),
        pytest.param(_bomb(40_000), "1600000000 pixels", id="bomb"),
    ],
)
def test_damaged_files_and_bombs_are_named(read, content, reason):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(UserError) as error:
            read("a.png", content)
    assert not said
    assert "/a.png: " in str(error.value)
    assert str(error.value).startswith("cannot decode ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
