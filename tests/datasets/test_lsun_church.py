import io
import os
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from collapsebench.datasets.lsun_church import TRAIN, VAL, LSUNChurch
from collapsebench.settings import Data, UserError

COUNTS = {TRAIN: 20, VAL: 3}
# torchvision leaves its key file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def originals() -> dict[str, list[Image.Image]]:
    """Photographs as they come out of the LMDB, 200 x 150 and upright by turns."""
    rng = np.random.default_rng(2)
    sizes = [(200, 150), (150, 260)]
    photographs: dict[str, list[Image.Image]] = {}
    for name, count in COUNTS.items():
        noise = [rng.integers(0, 256, (20, 20, 3), dtype=np.uint8) for _ in range(count)]
        photographs[name] = [
            Image.open(_jpeg(Image.fromarray(n).resize(sizes[i % 2]))) for i, n in enumerate(noise)
        ]
    return photographs


def _jpeg(image: Image.Image) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    file.seek(0)
    return file


@pytest.fixture
def lsun(tmp_path: Path, originals, monkeypatch) -> Path:
    """Two LMDBs like the published ones, with the numbers of entries to expect; the root."""
    (tmp_path / "lsun").mkdir()
    for name, photographs in originals.items():
        encoded = [p.fp.getvalue() for p in photographs]
        with (
            lmdb.open(str(tmp_path / "lsun" / f"{name}_lmdb"), map_size=1 << 24) as database,
            database.begin(write=True) as transaction,
        ):
            for i, value in enumerate(encoded):
                transaction.put(f"{i:040x}".encode(), value)
    monkeypatch.setattr(LSUNChurch, "entries", COUNTS)
    return tmp_path


def test_squash_equals_torchvisions_resize_pixel_by_pixel(lsun, originals):
    from torchvision import transforms

    steps = transforms.Compose([transforms.Resize((128, 128)), transforms.ToTensor()])
    images = LSUNChurch().load(Data(), lsun)
    assert [len(images.train), len(images.val), len(images.test)] == [18, 2, 3]
    for ours, original in zip(images.test, originals[VAL], strict=True):
        expected = steps(original).permute(1, 2, 0).numpy()
        assert np.array_equal(ours.astype(np.float32) / 255, expected)


def test_center_crop_keeps_the_aspect_ratio(lsun, originals):
    images = LSUNChurch().load(Data(resize="center_crop"), lsun)
    wide, tall = originals[VAL][:2]  # 200 x 150 -> 170 x 128; 150 x 260 -> 128 x 221
    expected = wide.resize((170, 128), Image.Resampling.BILINEAR).crop((21, 0, 149, 128))
    assert np.array_equal(images.test[0], np.asarray(expected))
    expected = tall.resize((128, 221), Image.Resampling.BILINEAR).crop((0, 46, 128, 174))
    assert np.array_equal(images.test[1], np.asarray(expected))


def test_the_two_resizings_are_cached_apart(lsun):
    squashed = LSUNChurch().load(Data(), lsun)
    cropped = LSUNChurch().load(Data(resize="center_crop"), lsun)
    assert not np.array_equal(squashed.test, cropped.test)
    assert squashed.split_hash == cropped.split_hash


def test_train_and_val_are_the_published_training_images(lsun, originals):
    images = LSUNChurch().load(Data(), lsun)
    expected = {
        np.asarray(p.resize((128, 128), Image.Resampling.BILINEAR)).tobytes()
        for p in originals[TRAIN]
    }
    assert {i.tobytes() for i in [*images.train, *images.val]} == expected


def test_no_key_file_stays_behind_anywhere(lsun, tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    before = sorted(path.name for path in (lsun / "lsun").rglob("*"))
    LSUNChurch().load(Data(), Path(os.path.relpath(lsun)))
    assert list(work.iterdir()) == []
    assert sorted(path.name for path in (lsun / "lsun").rglob("*")) == before
    assert not list((lsun / "arrays").glob(".keys-*"))


def test_a_truncated_lmdb_is_named_before_it_is_mapped(lsun):
    # In a process of its own: reading past the end of a mapped file would kill it.
    path = lsun / "lsun" / f"{VAL}_lmdb" / "data.mdb"
    os.truncate(path, path.stat().st_size - 8192)
    code = (
        "import sys; from pathlib import Path\n"
        "from collapsebench.datasets import lsun_church as l\n"
        "from collapsebench.settings import Data, UserError\n"
        f"l.LSUNChurch.entries = {COUNTS}\n"
        "try: l.LSUNChurch().load(Data(), Path(sys.argv[1]))\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(lsun)], capture_output=True, text=True, check=True
    )
    assert f"{path} is truncated: " in done.stdout


def test_an_lmdb_with_another_number_of_images_is_named(lsun, monkeypatch):
    monkeypatch.setattr(LSUNChurch, "entries", {TRAIN: 20, VAL: 300})
    with pytest.raises(UserError, match=rf"{VAL}_lmdb/data\.mdb holds 3 images, not 300"):
        LSUNChurch().load(Data(), lsun)


def test_a_file_that_is_no_lmdb_is_named(lsun):
    (lsun / "lsun" / f"{TRAIN}_lmdb" / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=rf"{TRAIN}_lmdb/data\.mdb is not a readable LMDB"):
        LSUNChurch().load(Data(), lsun)


def test_a_truncated_jpeg_is_named_by_its_key(lsun):
    key = f"{1:040x}".encode()
    with (
        lmdb.open(str(lsun / "lsun" / f"{VAL}_lmdb"), map_size=1 << 24) as database,
        database.begin(write=True) as transaction,
    ):
        transaction.put(key, transaction.get(key)[:1500])
    with pytest.raises(UserError, match=rf"cannot decode .*{VAL}_lmdb, key {key.decode()}"):
        LSUNChurch().load(Data(), lsun)


def test_absent_databases_are_named(tmp_path):
    line = LSUNChurch().missing(Data(), tmp_path)
    assert line is not None
    assert line.startswith(f"LSUN Church: no {TRAIN}_lmdb/data.mdb, {VAL}_lmdb/data.mdb in ")
    assert str(tmp_path / "lsun") in line
