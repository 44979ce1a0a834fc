"""What holds for whatever a grid asks for, a table is given or a statistic is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from collapsebench import metrics, stats
from collapsebench.plan import grid, resolve
from collapsebench.results import tables
from collapsebench.settings import digest, file_name_flaw, printable, shown

# The same examples every time, few enough for every run of the tests.
bounded = settings(
    max_examples=15, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip

sizes = some.integers(1, 2**24)
axes = some.fixed_dictionaries(
    {
        "method": some.lists(
            some.sampled_from(["vq_vae", "dvae", "edvae", "fsq"]), min_size=1, max_size=3
        ),
        "dataset": some.just(["digits"]),
        "codebook_size": some.lists(sizes, min_size=1, max_size=3),
        "code_dim": some.lists(some.integers(1, 2**16), min_size=1, max_size=2),
    }
)
seeds = some.lists(some.integers(0, 2**32 - 1), min_size=1, max_size=3)
plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20)
    | some.dates(),
    lambda inner: some.lists(inner, max_size=3)
    | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
keys = some.sampled_from([*grid.document.Document.model_fields, "schema", "x"]) | some.text(
    max_size=8
)


@bounded
@given(axes, seeds)
def test_points_are_the_product_and_ids_name_what_differs(chosen, replicates):
    loaded = grid.parse({"axes": chosen, "replicates": {"seed": replicates}}, "any")
    points = loaded.points()
    assert len(points) == math.prod(map(len, chosen.values())) * len(replicates)
    jobs = resolve.jobs(loaded, points)
    assert len({job.job_id for job in jobs}) == len(jobs)
    for job in jobs:
        assert len(job.job_id) == 16
        assert job.stage_ids["train"] == job.job_id
    cells = {(job.method, job.codebook_size, job.code_dim) for job in jobs}
    assert len({job.config_id for job in jobs}) == len(cells)
    assert len(jobs) == len(cells) * len(set(replicates))


@bounded
@given(axes, seeds)
def test_ids_do_not_hang_on_the_order_of_axes_or_seeds(chosen, replicates):
    def ids(values, order):
        loaded = grid.parse({"axes": values, "replicates": {"seed": order}}, "any")
        return {job.job_id for job in resolve.jobs(loaded, loaded.points())}

    turned = {name: values[::-1] for name, values in reversed(chosen.items())}
    assert ids(chosen, replicates) == ids(turned, replicates[::-1])


@bounded
@given(some.dictionaries(keys, plain, max_size=4))
def test_any_document_is_a_grid_or_refused_in_one_line(content):
    try:
        loaded = grid.parse(content, "any")
    except grid.UserError as error:
        said = str(error)
    else:
        said = loaded.name
    assert said
    assert printable(said) == said
    assert len(said) < 1000


@bounded
@given(some.text())
def test_a_name_that_has_no_flaw_is_one_file(tmp_path, name):
    if not file_name_flaw(name):
        (tmp_path / name).touch()
        assert (tmp_path / name).parent == tmp_path
        assert name in [path.name for path in tmp_path.iterdir()]


@bounded
@given(plain)
def test_what_is_shown_is_short_and_on_one_line(value):
    assert len(shown(value)) <= 60
    assert "\n" not in shown(value)


rows = some.fixed_dictionaries(
    {
        "job_id": some.text("0123456789abcdef", min_size=16, max_size=16),
        "stage_id": some.text("0123456789abcdef", min_size=16, max_size=16),
        "metric": some.text(max_size=10),
        "split": some.sampled_from(["train", "test"]),
        "value": some.floats() | some.none(),
        "seed": some.integers(0, 2**32 - 1),
        "label": some.text(max_size=10),
        "n_items": some.integers(-(2**63), 2**63 - 1) | some.none(),
    }
)


@bounded
@given(some.lists(rows, min_size=1, max_size=5, unique_by=lambda row: row["job_id"]))
def test_rows_come_back_as_they_were_written(tmp_path_factory, written):
    results = tmp_path_factory.mktemp("results")
    for row in written:
        tables.write(results, "metrics", f"{row['job_id']}.x.y", [row])
    found = tables.read(results, "metrics").set_index("job_id")
    assert sorted(found.index) == sorted(row["job_id"] for row in written)
    for row in written:
        back = found.loc[row["job_id"]]
        assert [back[name] for name in ("metric", "label", "seed", "split")] == [
            row[name] for name in ("metric", "label", "seed", "split")
        ]
        value = math.nan if row["value"] is None else row["value"]
        assert back["value"] == value or (math.isnan(back["value"]) and math.isnan(value))


json_values = some.dictionaries(some.text(max_size=5), some.integers() | some.text(), max_size=4)


@bounded
@given(json_values)
def test_a_digest_hangs_on_what_is_said_alone(content):
    turned = dict(reversed(content.items()))
    assert digest(content) == digest(turned)
    assert digest(content) != digest(content | {"another": 1})


numbers = some.lists(some.floats(-1e6, 1e6), min_size=2, max_size=12)


@bounded
@given(numbers, some.floats(-100, 100))
def test_an_interval_of_a_mean_holds_it_and_moves_with_the_values(values, by):
    low, high = stats.mean_interval(np.asarray(values))
    assert low <= np.mean(values) + 1e-6
    assert high >= np.mean(values) - 1e-6
    moved = stats.mean_interval(np.asarray(values) + by)
    assert moved == pytest.approx((low + by, high + by), rel=1e-6, abs=1e-3)


@bounded
@given(some.lists(some.integers(0, 15), min_size=1, max_size=200))
def test_metrics_of_tokens_stay_in_their_ranges(tokens):
    counts = metrics.counts(np.asarray(tokens), 16)
    assert counts.sum() == len(tokens)
    found = metrics.codebook_metrics(np.asarray(tokens), 16)
    assert 1 <= found["perplexity"] <= 16 + 1e-9
    assert found["usage"] == len(set(tokens)) / 16
    assert found["dead_codes"] == 16 - len(set(tokens))
