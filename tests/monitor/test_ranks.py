"""Several processes with different tokens: what each computes is of all of them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from collapsebench import CodebookMonitor
from collapsebench.monitor import history

SIZES = [16, 64]


def stream(rank):
    rng = np.random.default_rng(rank)
    tokens = np.stack([rng.integers(0, size // (1 + rank), (5, 7)) for size in SIZES], axis=-1)
    return torch.as_tensor(tokens), torch.as_tensor(rng.normal(size=(5, 7, 3)))


def one_rank(rank: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    monitor = CodebookMonitor(SIZES, out=f"{folder}/codes.parquet")
    found = []
    for window in range(2):
        for _ in range(1 + rank):  # ranks need not have as many updates
            monitor.update(*stream(rank + 2 * window))
        found.append(monitor.compute())
    torch.save([found, monitor.state_dict()], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    mp.start_processes(one_rank, (str(folder),), nprocs=2, start_method="forkserver")
    return folder, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_ranks_are_one_process_on_the_joined_stream(answers):
    whole = CodebookMonitor(SIZES)
    for window in range(2):
        for rank in (0, 1, 1):
            whole.update(*stream(rank + 2 * window))
        values = whole.compute()
        for found, _ in answers[1]:
            moments = {name for name in values if "z_e" in name}
            assert {n: v for n, v in found[window].items() if n not in moments} == {
                n: v for n, v in values.items() if n not in moments
            }
            assert {n: found[window][n] for n in moments} == pytest.approx(
                {n: values[n] for n in moments}, rel=1e-12
            )


def test_the_first_rank_writes_and_its_state_has_all_counts(answers):
    folder, found = answers
    rows = history.read(Path(folder) / "codes.parquet")
    assert [row["total_tokens"] for row in rows] == [105, 105, 210, 210]
    for _, state in found:
        assert int(sum(state["total"][0])) == 210
