"""Each cause by hand: what is named, what hides what, and that nothing is of a healthy codebook."""

import math
from dataclasses import replace

import pytest

from collapsebench.monitor.causes import CAUSES, UNEXPLAINED, Evidence, collapsing, findings

HEALTHY = Evidence(
    codebook_size=64, tokens=6400, verdict="healthy", top_share=0.05, dead=2, never_chosen=1,
    far=0.0, left_behind=0.0, moved=1.0, updates=100, duplicate_codes=0, code_dim=8,
    z_e_variance=1.0, z_e_variance_best=1.2, z_e_offset=0.5, z_e_effective_rank=7.5,
)  # fmt: skip
FALLEN = replace(HEALTHY, verdict="collapsed", dead=60)
ENCODER, STILL, COPIES, FEW, START, DRIFT, DOMINATION, _ = CAUSES


@pytest.mark.parametrize(
    ("evidence", "named"),
    [
        (HEALTHY, []),
        (replace(HEALTHY, z_e_variance=1e-4), [ENCODER]),
        (replace(HEALTHY, z_e_variance=0.0, z_e_offset=0.0), [ENCODER]),
        (replace(HEALTHY, z_e_effective_rank=1.4), [ENCODER]),
        (replace(HEALTHY, z_e_effective_rank=1.6), []),
        (replace(HEALTHY, z_e_effective_rank=1.2, code_dim=2), []),
        (replace(HEALTHY, moved=0.0), [STILL]),
        (replace(HEALTHY, moved=0.0, updates=1), []),
        (replace(HEALTHY, duplicate_codes=1), [COPIES]),
        (replace(HEALTHY, tokens=127), [FEW]),
        (replace(HEALTHY, tokens=128), []),
        (replace(HEALTHY, top_share=0.51), [DOMINATION]),
        (replace(FALLEN, never_chosen=30), [START]),
        (replace(FALLEN, never_chosen=30, top_share=0.9, far=1.0), [START, DOMINATION]),
        (replace(FALLEN, never_chosen=30, top_share=0.9, far=0.0), [DOMINATION, START]),
        (replace(FALLEN, never_chosen=30, duplicate_codes=9), [COPIES]),
        (replace(FALLEN, never_chosen=30, duplicate_codes=9, copied_at_start=0.0), [START, COPIES]),
        (replace(FALLEN, left_behind=0.5), [DRIFT]),
        (replace(FALLEN, left_behind=1.0, dead=3, top_share=0.8), [DOMINATION, DRIFT]),
        (FALLEN, [UNEXPLAINED]),
        (replace(FALLEN, never_chosen=30, moved=0.0, z_e_variance=0.0), [ENCODER]),
    ],
)
def test_the_cause_that_the_evidence_says_is_named(evidence, named):
    assert [one.cause for one in findings(evidence)] == named


def test_what_is_not_known_names_nothing():
    unknown = Evidence(64, 6400, "collapsed", top_share=0.2, dead=60)
    assert findings(unknown) == []
    uncounted = Evidence(2**32, 6400, "too few tokens to tell", math.nan, math.nan)
    assert findings(uncounted) == []


def test_a_fall_is_said_below_half_of_the_best():
    assert collapsing(310, 4000, 12) == "collapsing: 310 → 12 since step 4,000"
    assert collapsing(310, 4000, 155) == ""
    assert collapsing(310, 4000, math.nan) == ""
