"""Data behind printed numbers: the counts that could have given a printed summary.

Everything that comes out of this package is a reconstruction, not data.
"""

from bayes_msc.reconstruct.group import Group, reconstruct_group
from bayes_msc.reconstruct.paper import Paper, parse_paper, read_paper
from bayes_msc.reconstruct.summary import GroupSummary
from bayes_msc.reconstruct.whole import Reconstruction, reconstruct

__all__ = [
    "Group",
    "GroupSummary",
    "Paper",
    "Reconstruction",
    "parse_paper",
    "read_paper",
    "reconstruct",
    "reconstruct_group",
]
