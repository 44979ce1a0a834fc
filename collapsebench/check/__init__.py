"""Are the numbers still what they were? Four levels, from single tensors to the paper.

Level 0: tensors and closed forms. Level 1: short trajectories of every method. Level 2: rows of a
grid against frozen rows, by statistics. Level 3: rows against the paper. Only the first two load
torch.
"""
