from collapsebench.cli import doctor
from collapsebench.cli.doctor import Line
from collapsebench.results import disk, tables


def by_subject(found):
    return {f.subject: f for f in found}


def test_a_fresh_folder_has_notes_but_nothing_wrong(tmp_path):
    found = by_subject(doctor.findings(tmp_path / "results", tmp_path / "data"))
    assert found["installation"].level == "ok"
    assert "torch" in found["installation"].text
    assert found["data digits"] == Line("ok", "data digits", "ready")
    assert found["data cifar10"].level == "note"
    assert "cifar-10-batches-py" in found["data cifar10"].text
    assert found["data cifar10"].fix == "collapsebench data prepare -d cifar10 --download"
    assert found["jobs"].fix == "collapsebench run --grid demo"
    assert all("\n" not in f.text and "; " not in f.text for f in found.values())
    assert found["rows metrics"].text == "0"
    assert "nothing was run" in found["jobs"].text


def test_a_torn_file_is_named_and_wrong(tmp_path, capsys):
    results = tmp_path / "results"
    tables.write(results, "metrics", "good", [{"metric": "mse"}])
    (results / "metrics" / "torn.parquet").write_bytes(b"PAR1")
    found = doctor.rows(results)
    assert Line("ok", "rows metrics", "1") in found
    wrong = [f for f in found if f.level == "wrong"]
    assert len(wrong) == 1
    assert "torn.parquet" in wrong[0].text
    assert doctor.print_findings(found) == 1
    lines = capsys.readouterr().out.splitlines()
    (at,) = (i for i, line in enumerate(lines) if line.startswith("wrong"))
    assert lines[at + 1].split() == ["fix:", *doctor.AGAIN.split()]


def test_jobs_that_wait_for_somebody_are_wrong(tmp_path):
    job = {
        "job_id": "a" * 16, "stage_ids": {"train": "a" * 16}, "method": "edvae", "label": "EdVAE",
        "settings_label": "", "network": "dalle", "dataset": "digits", "codebook_size": 8,
        "code_dim": 4, "seed": 1,
    }  # fmt: skip
    disk.write_json(tmp_path / "grids" / "g.json", {"jobs": [job]})
    said = {"stage": "train", "status": "error", "message": "broke"}
    disk.write_json(tmp_path / "jobs" / job["job_id"] / "status.json", said)
    assert doctor.jobs(tmp_path) == [
        Line("wrong", "jobs", "1 error", "collapsebench retry --failed")
    ]
