"""Data behind printed numbers: the counts that could have given a printed summary.

Everything that comes out of this package is a reconstruction, not data.
"""

from bayes_msc.reconstruct.group import Group, reconstruct_group
from bayes_msc.reconstruct.summary import GroupSummary

__all__ = ["Group", "GroupSummary", "reconstruct_group"]
