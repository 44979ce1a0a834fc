"""Rows in the forms that others read, as those forms' own descriptions ask for them."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest

from collapsebench import load_results
from collapsebench.cli import app
from collapsebench.export import croissant, every_eval_ever, export
from collapsebench.settings import UserError

ROOT = Path(__file__).parent.parent
FROZEN = ROOT / "baselines" / "demo"
US = "The collapsebench developers"

# What eval.schema.json 0.2.2 asks for: object -> required keys and those that may be there too.
ASKED = {
    "": ("schema_version evaluation_id retrieved_timestamp source_metadata model_info eval_library "
         "evaluation_results", "evaluation_timestamp detailed_evaluation_results"),
    "source_metadata": ("source_type source_organization_name evaluator_relationship",
                        "source_name source_organization_url additional_details"),
    "eval_library": ("name version", "additional_details"),
    "model_info": ("name id", "developer inference_platform inference_engine additional_details"),
    "evaluation_results": ("evaluation_name source_data metric_config score_details",
                           "evaluation_result_id evaluation_timestamp generation_config"),
    "source_data": ("dataset_name source_type", "source_id source_version additional_details"),
    "metric_config": ("lower_is_better", "evaluation_description metric_id metric_name metric_kind "
                      "metric_unit additional_details"),
    "score_details": ("score", "details uncertainty"),
    "uncertainty": ("", "standard_error standard_deviation num_samples confidence_interval"),
    "standard_error": ("value", "method"),
}  # fmt: skip
NUMBERS = {"score", "value", "standard_deviation"}
TEXTS = {"details", "additional_details"}  # objects whose values are all strings


def faults(record, name=""):
    """What a record does that the schema refuses."""
    required, also = (set(words.split()) for words in ASKED[name])
    if lacking := required - record.keys():
        yield f"{name} lacks {lacking}"
    if extra := record.keys() - required - also:
        yield f"{name} has {extra}"
    for key, value in record.items():
        if key in TEXTS:
            yield from (f"{key}.{k}" for k, v in value.items() if not isinstance(v, str))
        elif key in ASKED:
            for one in value if isinstance(value, list) else [value]:
                yield from faults(one, key)
        elif key in NUMBERS:
            yield from [] if isinstance(value, float) and math.isfinite(value) else [key]
        elif key in ("lower_is_better", "num_samples"):
            yield from [] if isinstance(value, bool if key[0] == "l" else int) else [key]
        elif not isinstance(value, str):
            yield key


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The frozen demo's records by their paths."""
    out = tmp_path_factory.mktemp("records")
    assert export(FROZEN, "every-eval-ever", out, US, "") == f"36 records in {out}"
    return {path.relative_to(out): json.loads(path.read_text()) for path in out.rglob("*.json")}


def test_every_record_is_as_the_schema_asks(records):
    assert len(records) == 36
    assert [list(faults(record)) for record in records.values()] == [[]] * 36
    first = next(iter(records.values()))
    assert list(faults({k: v for k, v in first.items() if k != "model_info"})) == [
        " lacks {'model_info'}"
    ]
    assert list(faults(first | {"schema_version": 1})) == ["schema_version"]


def test_a_record_says_what_the_rows_say(records):
    rows = load_results(FROZEN)
    for path, record in records.items():
        facts = record["model_info"]["additional_details"]
        assert path.parts[:3] == ("collapsebench", facts["method"], facts["config_id"])
        assert record["source_metadata"]["source_organization_name"] == US
        own = rows[(rows["config_id"] == facts["config_id"]) & (rows["split"] == "test")]
        scores = {
            score["metric_config"]["metric_id"]: score for score in record["evaluation_results"]
        }
        assert {"mse", "collapsebench.perplexity", "collapsebench.collapsed"} <= scores.keys()
        for name in ("mse", "usage"):
            values = own[own["metric"] == name]["value"]
            said = scores.get(name) or scores[f"collapsebench.{name}"]
            assert said["metric_config"]["lower_is_better"] == (name == "mse")
            assert said["score_details"]["score"] == pytest.approx(values.mean())
            spread = said["score_details"]["uncertainty"]
            assert spread["num_samples"] == 3
            assert spread["standard_error"]["value"] == pytest.approx(values.sem())


def test_a_record_has_the_same_name_each_time(records, tmp_path):
    every_eval_ever.write(FROZEN, tmp_path, US)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*.json")} == set(records)


@pytest.fixture
def tags(tmp_path):
    """Two frozen tags with a description of both."""
    for tag in ("ci", "cifar10_5k_short_clamp"):
        shutil.copytree(ROOT / "baselines" / tag, tmp_path / tag)
    croissant.write(tmp_path, None, US, "MIT")
    return tmp_path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a package that it uses
def test_a_loader_of_croissant_reads_all_rows(tags):
    loader = pytest.importorskip("mlcroissant")
    described = loader.Dataset(jsonld=str(tags / croissant.FILE))
    assert described.metadata.ctx.issues.report() == ""
    values = [row["metrics/value"] for row in described.records("metrics")]
    own = [load_results(tags / tag) for tag in ("ci", "cifar10_5k_short_clamp")]
    assert len(values) == sum(map(len, own))
    assert math.fsum(v for v in values if v == v) == pytest.approx(
        sum(frame["value"].sum() for frame in own)
    )


def test_the_shipped_description_is_of_the_shipped_rows():
    shipped = json.loads((ROOT / "baselines" / croissant.FILE).read_text(encoding="utf-8"))
    assert shipped == croissant.described(ROOT / "baselines", US, "MIT")
    assert {one["@id"] for one in shipped["recordSet"]} == {
        "runs", "metrics", "protocols", "curves", "codes",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export"], "say one"),
        (["export", "metrics", "--to", "croissant"], "say one"),
        (["export", "metrics"], "say where to"),
        (["export", "--to", "crossaint"], "did you mean 'croissant'"),
        (["export", "--to", "every-eval-ever", "-r", "nowhere", "-o", "x"], "no metrics"),
        (["export", "--to", "every-eval-ever"], "say where to"),
        (["export", "--to", "croissant", "-r", "nowhere"], "no rows"),
        (["export", "--to", "croissant", "-r", "nowhere", "-o", "a.json"], "lies in its folder"),
    ],
)
def test_what_cannot_be_exported_is_one_line(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(said)):
        app(words, standalone_mode=False)
