"""Recorded numbers against computed ones."""

import numpy as np
import pytest

from collapsebench.check.records import Record, compare, renewed, unbumped


def record(values, implementation="method 1"):
    return Record(implementation, {"loss": np.array(values)})


@pytest.mark.parametrize(
    ("stored", "found", "verdict", "words"),
    [
        pytest.param([1.0, 2.0], [1.0, 2.0 + 1e-9], "ok", "2 numbers", id="rounding"),
        pytest.param([1.0, 2.0], [1.0, 2.1], "worse", "loss[1] is 2.1, was 2", id="changed"),
        pytest.param([1.0, 2.0], [1.0], "worse", "shape (1,), was (2,)", id="shorter"),
        pytest.param([np.nan], [np.nan], "ok", "1 numbers", id="both undefined"),
        pytest.param(["done"], ["done"], "ok", "1 numbers", id="the same word"),
        pytest.param(["done"], ["error"], "worse", "loss[0] is 'error', was 'done'", id="word"),
    ],
)
def test_numbers_must_agree(stored, found, verdict, words):
    (finding,) = compare(0, {"edvae": record(stored)}, {"edvae": record(found)}, 1e-6)
    assert finding.verdict == verdict
    assert words in finding.text


def test_a_change_asks_for_a_bump_and_names_the_subject():
    (finding,) = compare(1, {"edvae": record([1.0])}, {"edvae": record([2.0])}, 1e-6)
    assert "bump the implementation of edvae (now method 1)" in finding.text


def test_a_record_says_which_number_to_bump_and_may_be_less_exact():
    found = Record("score 1", {"rfd": np.ones(1)}, "IMPLEMENTATIONS['score']", rtol=1e-3)
    for value, verdict in ((1.0001, "ok"), (1.01, "worse")):
        stored = {"score": Record("score 1", {"rfd": np.array([value])})}
        (finding,) = compare(1, stored, {"score": found}, 1e-6)
        assert finding.verdict == verdict
    assert "bump IMPLEMENTATIONS['score'] (now score 1)" in finding.text


@pytest.mark.parametrize(("names", "words"), [("ab", "b is new"), ("", "a is gone")])
def test_a_number_on_one_side_only_is_a_change(names, words):
    stored, found = (
        Record("method 1", {name: np.ones(1) for name in side}) for side in ("a", names)
    )
    (finding,) = compare(1, {"edvae": stored}, {"edvae": found}, 1e-6)
    assert (finding.verdict, finding.text.partition(";")[0]) == ("worse", words)


def test_what_agrees_is_not_recorded_anew():
    stored = {"a": record([1.0]), "b": record([1.0]), "gone": record([1.0])}
    found = {"a": record([1.0 + 1e-9]), "b": record([2.0], "method 2"), "new": record([5.0])}
    assert renewed(stored, found) == {"a": stored["a"], "b": found["b"], "new": found["new"]}


def test_a_bumped_implementation_asks_for_a_new_record():
    stored, found = {"edvae": record([1.0])}, {"edvae": record([2.0], "method 2")}
    (finding,) = compare(1, stored, found, 1e-6)
    assert finding.verdict == "nothing measured"
    assert finding.text.startswith("recorded with method 1, this is method 2")
    assert unbumped(stored, found, 1e-6) == {}


def test_a_subject_without_a_record_is_nothing_measured():
    (finding,) = compare(0, {}, {"edvae": record([1.0])}, 1e-6)
    assert finding.verdict == "nothing measured"


def test_unbumped_names_what_changed_silently():
    stored = {"a": record([1.0]), "b": record([1.0])}
    found = {"a": record([1.0]), "b": record([3.0]), "new": record([5.0])}
    assert unbumped(stored, found, 1e-6) == {"b": "loss[0] is 3, was 1"}
