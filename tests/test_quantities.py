import itertools
import math

import numpy as np
import pytest

from collapsebench import metrics
from collapsebench.quantities import QUANTITIES, RECORDS, duration, metric_label, of, worst
from collapsebench.settings import PROTOCOLS

EXTRACTORS = ("inception-v3-compat", "inception-v3-compat@0123456789ab", "cb-randconv-v1")


@pytest.mark.parametrize(
    ("metric", "protocol", "label"),
    [
        ("gfd", "full", "FID"),
        ("rfd", "full", "rFID"),
        ("fd_gap", "full", "FID gap"),
        ("gfd", "quick", "FID_10k"),
        ("gfd", "ci", "FD[inception-v3-compat]"),
        ("recall", "full", "recall"),
    ],
)
def test_verified_inception_weights_name_the_distance_by_protocol(metric, protocol, label):
    assert metric_label(metric, "inception-v3-compat", True, protocol) == label


def test_nothing_is_called_fid_without_verified_inception_weights():
    metrics = ("gfd", "rfd", "fd_gap", "precision", "recall", "density", "coverage", "mse")
    called_fid = {
        case
        for case in itertools.product(metrics, EXTRACTORS, (True, False), PROTOCOLS)
        if "fid" in metric_label(*case).lower()
    }
    assert called_fid == {
        (metric, "inception-v3-compat", True, protocol)
        for metric in ("gfd", "rfd", "fd_gap")
        for protocol in ("full", "quick")
    }


def test_other_distances_print_their_extractor():
    assert metric_label("gfd", "cb-randconv-v1", True, "full") == "FD[cb-randconv-v1]"
    assert metric_label("rfd", EXTRACTORS[1], False, "full") == f"rFD[{EXTRACTORS[1]}]"


@pytest.mark.parametrize(
    ("metric", "values", "index"),
    [
        ("perplexity", [16.0, 1.0, 2.0], 1),
        ("usage", [0.5, 1.0, 0.25], 2),
        ("dead_codes", [0.0, 15.0, 3.0], 1),
        ("collapsed", [0.0, 0.0, 1.0], 2),
        ("effective_rank", [3.0, math.nan, 1.0], 1),
        ("duplicate_codes", [9.0, 2.0, math.nan], 2),
    ],
)
def test_the_worst_of_several_codebooks(metric, values, index):
    assert worst(metric, values) == index


def test_of_a_metric_without_a_record_the_smallest_is_the_worst():
    assert of("gini_index").title == "gini index"
    assert worst("gini_index", [0.5, 0.25, 1.0]) == 1


def test_names_are_said_once():
    assert len(QUANTITIES) == len(RECORDS)
    published = [record.published for record in RECORDS if record.published]
    assert len(set(published)) == len(published)


def test_every_shipped_metric_of_a_codebook_has_a_record():
    measured = metrics.codebook_metrics(np.arange(4), 4, [[math.nan], [1.0], [2.0], [3.0]])
    assert set(measured) <= set(QUANTITIES)
    assert all(of(name).better for name in measured)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (720, "12 min"), (12_240, "3.4 h"), (6 * 86_400, "6 days"), (0.2, "0 s"),
     (400 * 86_400, "400 days"), (3.41e6 * 3600, "389 years"), (3e12, "95,064 years")],
)  # fmt: skip
def test_a_duration_is_said_in_the_unit_one_would_say_it_in(seconds, words):
    assert duration(seconds) == words
