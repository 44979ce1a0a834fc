"""Statistics for a few seeds: one test, and the words that follow from it.

Whatever compares two groups of seeds makes the same test: ``spreads`` says how much the seeds of
each group differ, ``difference`` puts two groups against each other, ``changes`` and ``standings``
say what follows, for ``compare``, ``check`` and every table and page. Groups are small, so every
function says what happens with one value or with no spread.
"""

from collapsebench.stats.differences import (
    ALPHA,
    LEAST_P,
    POWER,
    Difference,
    from_population_sd,
    holm,
    mean_interval,
    p_text,
    welch_from_stats,
)
from collapsebench.stats.variances import (
    Spread,
    Values,
    difference,
    seeds_needed,
    spreads,
    spreads_of,
    variance_prior,
)
from collapsebench.stats.words import (
    BEST,
    BETTER,
    CANT_TELL,
    MARGIN,
    NO_SPREAD,
    ONE_SEED,
    SAME,
    WORSE,
    Change,
    Rank,
    changes,
    standings,
    verdict_against_paper,
    why_untested,
)

__all__ = [
    "ALPHA",
    "BEST",
    "BETTER",
    "CANT_TELL",
    "LEAST_P",
    "MARGIN",
    "NO_SPREAD",
    "ONE_SEED",
    "POWER",
    "SAME",
    "WORSE",
    "Change",
    "Difference",
    "Rank",
    "Spread",
    "Values",
    "changes",
    "difference",
    "from_population_sd",
    "holm",
    "mean_interval",
    "p_text",
    "seeds_needed",
    "spreads",
    "spreads_of",
    "standings",
    "variance_prior",
    "verdict_against_paper",
    "welch_from_stats",
    "why_untested",
]
