"""Data behind printed numbers: the counts that could have given a printed summary.

Everything that comes out of this package is a reconstruction, not data.
"""

from bayes_msc.reconstruct.averaging import Averaged, average_reconstruction, average_trials
from bayes_msc.reconstruct.behind import Behind, answers_behind
from bayes_msc.reconstruct.coverage import coverage_check
from bayes_msc.reconstruct.group import Group, reconstruct_group
from bayes_msc.reconstruct.options import regression_options
from bayes_msc.reconstruct.paper import Paper, parse_paper, read_paper
from bayes_msc.reconstruct.relaxing import relaxations
from bayes_msc.reconstruct.summary import GroupSummary
from bayes_msc.reconstruct.two_periods import crossover_answers
from bayes_msc.reconstruct.whole import Reconstruction, reconstruct

__all__ = [
    "Averaged",
    "Behind",
    "Group",
    "GroupSummary",
    "Paper",
    "Reconstruction",
    "answers_behind",
    "average_reconstruction",
    "average_trials",
    "coverage_check",
    "crossover_answers",
    "parse_paper",
    "read_paper",
    "reconstruct",
    "reconstruct_group",
    "regression_options",
    "relaxations",
]
