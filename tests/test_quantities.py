import itertools

import pytest

from collapsebench.quantities import metric_label
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
