"""What ``status`` prints: a table within 80 columns, totals, the next step."""

import pytest
from rich.console import Console

from collapsebench.cli import status


def row(state="done", grid="demo", job_id="0123456789abcdef", **changes):
    fields = {"grid": grid, "job_id": job_id, "label": "VQ-VAE-EMA", "settings_label": "",
              "dataset": "cifar10_5k", "codebook_size": 1024, "code_dim": 64, "seed": 1773,
              "status": state, "stages_done": 5, "stages": 5, "message": "", "values": {},
    }  # fmt: skip
    return fields | changes


def printed(rows, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    status.print_status(rows)
    return capsys.readouterr().out.splitlines()


def test_a_job_is_a_line_within_80_columns(monkeypatch, capsys):
    said = "RuntimeError: the size of tensor a must match the size of tensor b"
    rows = [
        row("out_of_memory", message=said),
        row("running", values={"relative_perplexity": 0.03}),
    ]
    lines = printed(rows, monkeypatch, capsys)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["job", "method", "dataset", "K×D", "seed", "status", "stages"]
    assert "out_of_memory" in lines[1]
    assert "running" in lines[2]
    long = [row("out_of_memory", label="WassersteinVQ", settings_label="beta=0.25, share=0.1")]
    lines = printed(long, monkeypatch, capsys)
    assert max(map(len, lines)) <= 80
    assert {
        "01234567",
        "WassersteinVQ",
        "cifar10_5k",
        "1024×64",
        "1773",
        "out_of_memory",
        "5/5",
    } <= {*lines[1].split()}


def test_grids_are_named_where_there_are_several(monkeypatch, capsys):
    lines = printed([row(), row(grid="tables")], monkeypatch, capsys)
    assert lines[0].startswith("grid ")
    assert lines[-2] == "1 job: 1 done"  # of two grids


@pytest.mark.parametrize(
    ("states", "totals", "following"),
    [
        (["done", "incompatible"], "2 jobs: 1 done, 1 incompatible", "collapsebench report"),
        (["done", "running", "error"], "3 jobs: 1 done, 1 running, 1 error", "status --watch"),
        (["done", "done", "out_of_memory"], "3 jobs: 2 done, 1 out of memory", "retry --failed"),
        (["interrupted"], "1 job: 1 interrupted", "goes on where it stopped"),
        (["queued", "queued"], "2 jobs: 2 queued", "collapsebench run again"),
    ],
)
def test_totals_and_the_next_step(states, totals, following):
    rows = [row(state, job_id=f"{i:016x}") for i, state in enumerate(states)]
    assert status.totals(rows) == totals
    assert following in status.next_step(rows)


def test_the_watched_table_is_the_printed_one():
    with (console := Console(width=80)).capture() as shown:
        console.print(status.table([row()]))
    assert "VQ-VAE-EMA" in shown.get()
