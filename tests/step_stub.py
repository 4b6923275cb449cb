"""A blackboard of one line for each term, to test the scorer without the step model: easy to foresee."""

import numpy as np

USABLE = 0.9


def steps(
    model, system, *, batch, context_tokens, pass_tokens=1, tensor_parallel=1, pipeline_parallel=1, data_parallel=1,
    expert_parallel=1, context_parallel=1, redundant_experts=0, padded_heads=False, overlap=0.0, refine=(),
    changes=None, want=("step_s",),
):  # fmt: skip
    """Everything is dealt evenly over the chips; arithmetic and traffic overlap; nothing is refused."""
    chips = np.asarray(tensor_parallel) * pipeline_parallel * data_parallel * context_parallel
    flop_per_s = system.peak(model.weight_dtype).value
    bandwidth, memory = (system.figure(n).value for n in ("bandwidth_bytes_per_s", "memory_bytes"))
    kv = float(model.kv_bytes_per_token or 0.0)
    tokens = np.asarray(batch) * np.asarray(pass_tokens)
    compute = 2 * model.active_params * tokens / (chips * flop_per_s)
    weights = model.read_weight_bytes / (chips * bandwidth) + 0 * tokens
    cache = np.asarray(batch) * np.asarray(context_tokens) * kv / (chips * bandwidth)
    length = np.asarray(context_tokens) + np.asarray(pass_tokens)
    room = USABLE * memory * chips - model.weight_bytes
    step = np.maximum(compute, weights + cache)
    return {
        "step_s": step, "t_compute_s": compute + 0 * step, "t_weights_s": weights, "t_kv_s": cache,
        "weights_bytes": model.read_weight_bytes / chips + 0 * step,
        "chip_needed_bytes": (model.weight_bytes + np.asarray(batch) * length * kv) / chips,
        "largest_batch": np.floor(room / np.maximum(length * kv, 1.0)) + 0 * step,
        "runtime_reserve_bytes": 0 * step, "chip_activation_bytes": 0 * step, "refusal": np.full(np.shape(step), ""),
    }  # fmt: skip
