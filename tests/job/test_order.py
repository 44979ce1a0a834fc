"""What a job was told, and how it is told."""

import pytest

from collapsebench.job import process
from collapsebench.job.order import Order
from collapsebench.settings import STAGES, UserError


def test_an_order_is_read_as_it_was_written(tmp_path):
    order = Order(stages=("train",), threads=3, launcher="slurm", launcher_job="7_0", limit_s=60,
                  wait=True, bound=True, checkpoint_s=5.0, data_root=tmp_path,
                  weights=tmp_path / "w", allow_unverified_weights=True)  # fmt: skip
    order.write(tmp_path)
    assert Order.read(tmp_path) == order


def test_a_job_that_nobody_ordered_runs_all_its_stages(tmp_path):
    assert Order.read(tmp_path) == Order()
    assert Order().stages == STAGES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"order\.json cannot be read: "),
        ('{"thread": 1}', r"order\.json\.thread'; did you mean 'threads'"),
        ('{"threads": "many"}', r"order\.json\.threads': 'many'"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_in_one_line(tiny_job, tmp_path, text, message):
    folder = tiny_job().queue(tmp_path)
    (folder / "order.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        process.main(folder)
    assert "\n" not in str(caught.value)
