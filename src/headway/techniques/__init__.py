"""KV techniques: each a change of what a model's layers keep, judged by the same step as everything else."""
