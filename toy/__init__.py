"""The 2-D toy of the paper's Fig. 2: exact-score DDIM on a mixture of Gaussians, with and without KDS.

Modules: `mixture` (the target and its exact score), `settings`, `experiment` (runs from the same noise),
`statistics` (numbers per seed, paired tests), `figure` (the picture), `__main__` (the command line), `posterior` (the
study of posteriors that are known exactly). They import `kds_ref` and nothing of `real`.
Importing this package alone loads neither scipy nor matplotlib, which come with the extra `toy`.
"""
