"""Recorded numbers against computed ones."""

import numpy as np
import pytest

from collapsebench.check.records import Record, compare, unbumped


def record(values, implementation="method 1"):
    return Record(implementation, {"loss": np.array(values)})


@pytest.mark.parametrize(
    ("stored", "found", "verdict", "words"),
    [
        pytest.param([1.0, 2.0], [1.0, 2.0 + 1e-9], "ok", "2 numbers", id="rounding"),
        pytest.param([1.0, 2.0], [1.0, 2.1], "worse", "loss[1] is 2.1, was 2", id="changed"),
        pytest.param([1.0, 2.0], [1.0], "worse", "shape (1,), was (2,)", id="shorter"),
        pytest.param([np.nan], [np.nan], "ok", "1 numbers", id="both undefined"),
    ],
)
def test_numbers_must_agree(stored, found, verdict, words):
    (finding,) = compare(0, {"edvae": record(stored)}, {"edvae": record(found)}, 1e-6)
    assert finding.verdict == verdict
    assert words in finding.text


def test_a_change_asks_for_a_bump_and_names_the_subject():
    (finding,) = compare(1, {"edvae": record([1.0])}, {"edvae": record([2.0])}, 1e-6)
    assert "bump the implementation of edvae (now method 1)" in finding.text


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
