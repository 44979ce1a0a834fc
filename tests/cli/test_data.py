import itertools
import subprocess
import sys

import pytest
from PIL import Image

from collapsebench.cli import data
from collapsebench.plan import registry
from collapsebench.settings import Data, UserError


def test_prepare_then_verify_then_list(tmp_path):
    folder = data.prepare("patches", Data(), tmp_path, download=False)
    assert data.verify("patches", Data(), tmp_path) == folder
    rows = {row.name: row for row in data.listing(Data(), tmp_path)}
    assert set(rows) == set(registry.names("datasets"))
    assert (rows["patches"].present, rows["patches"].where) == ("prepared", str(folder))
    assert rows["patches"].size == sum(f.stat().st_size for f in folder.iterdir())
    assert rows["patches"].size > 7100 * 32 * 32 * 3
    assert (rows["digits"].present, rows["digits"].size) == ("there", 0)
    assert (rows["cifar10"].present, rows["folder"].present) == ("missing", "missing")
    assert rows["cifar10"].content_hash == "c58f30108f718f92721af3b95e74349a"
    assert rows["folder"].content_hash == ""


def test_a_listing_is_a_line_each_and_says_what_mends_it(tmp_path, capsys):
    data.print_listing(data.listing(Data(), tmp_path))
    lines = capsys.readouterr().out.splitlines()
    after = {line.split()[0]: following for line, following in itertools.pairwise(lines)}
    assert lines[1].strip() == "fix: collapsebench data prepare -d celeba --download"
    missing = [line.split()[0] for line in lines if line.split()[1] == "missing"]
    assert missing == ["celeba", "cifar10", "cifar10_5k", "folder", "lsun_church", "vectors"]
    assert all(after[name].strip().startswith("fix: ") for name in missing)
    assert len(lines) == len(registry.names("datasets")) + len(missing)
    assert "no img_align_celeba, list_eval_partition.txt and 4 more in" in lines[0]
    assert data.in_short("no folder given: say where") == "no folder given"


def test_a_description_counts_the_splits(tmp_path):
    assert data.description("digits", Data(), tmp_path) == [
        "1,297 train, 250 val, 250 test images of 32 x 32 pixels"
    ]


def test_a_description_says_what_was_left_out_and_what_is_small(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(40):
        Image.new("L", (16, 16), i).save(pictures / f"{i}.png")
    (pictures / "notes.txt").write_text("which picture is what")
    settings = Data(path=str(pictures), image_size=16)
    assert data.description("folder", settings, tmp_path / "root") == [
        "33 train, 3 val, 4 test images of 16 x 16 pixels",
        "val was cut from train",
        "test was cut from train",
        "left out, no image by its name "
        "(.bmp .gif .jpeg .jpg .png .ppm .tif .tiff .webp): 1 (notes.txt)",
        "33 train images are fewer than a batch of 128 (train.batch_size): "
        "every step will see all of them",
    ]


def test_verify_names_a_damaged_array(tmp_path):
    folder = data.prepare("digits", Data(), tmp_path, download=False)
    content = bytearray((folder / "train.npy").read_bytes())
    content[5000] ^= 255
    (folder / "train.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"train\.npy has changed"):
        data.verify("digits", Data(), tmp_path)


def test_verify_before_prepare_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="collapsebench data prepare -d digits"):
        data.verify("digits", Data(), tmp_path)


def test_prepare_without_files_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"no img_align_celeba, .* in .*celeba; "):
        data.prepare("celeba", Data(), tmp_path, download=False)


def test_lsun_cannot_be_downloaded_and_says_where_it_is(tmp_path):
    with pytest.raises(UserError, match=r"cannot be downloaded for you: .*github\.com/fyu/lsun"):
        data.prepare("lsun_church", Data(), tmp_path, download=True)


def test_an_unknown_dataset_gets_a_suggestion(tmp_path):
    with pytest.raises(UserError, match="did you mean 'digits'"):
        data.prepare("digit", Data(), tmp_path, download=False)


def test_planning_loads_neither_torch_nor_scikit_learn(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from collapsebench.cli import data\n"
        "from collapsebench.settings import Data\n"
        "rows = data.listing(Data(), Path(sys.argv[1]))\n"
        "loaded = {'torch', 'torchvision', 'sklearn', 'pandas', 'PIL', 'lmdb'} & set(sys.modules)\n"
        "print(len(rows), sorted(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "10 []"
