"""All that knows how ``results/`` and ``baselines/`` are laid out: in go rows, out come rows.

``tables`` holds the schemas, ``disk`` writes atomically; nothing here loads torch.
"""
