"""Make framework_counts.jsonl.gz and framework_caches.jsonl.gz, the numbers that test_framework.py holds us to.

Run it in an environment of its own, never in the project's; it takes about six minutes::

    python3 -m venv ELSEWHERE && ELSEWHERE/bin/pip install "transformers==5.23.0" torch
    ELSEWHERE/bin/python tests/data/make_framework_data.py --out tests/data

The numbers come from the framework alone: this package is not imported, so no row is kept or dropped for what our
reader makes of it. The same versions and the same --seed give the same bytes; another version of the framework may know
other fields, and so draw others. --families makes the rows of a few families.

Counts. A family's config is its class's defaults ("default") or drawn ("rand"): shared fields that the class knows,
then the family's own; every fourth one is written out with all its fields ("full"). The model is built on the meta
device and the shapes of its named parameters are summed up, in all and by part, the part told by the parameter's name.
Towers for images and sound are not counted, nor are buffers; tied parameters count once.

Caches. The decoder of each drawn config runs on 37 and on 74 tokens, with weights as they come; the sizes of its cached
tensors are summed up by kind (STORED). What cannot be built or run is told on stderr.

A row's config leaves out what says nothing of shape (SAYS_NOTHING). What is translated, corrected or left out stands at
`translated`, `surplus`, NO_DEFAULT, NO_CACHE and FAMILY_FIELDS.
"""

import argparse
import copy
import dataclasses
import gzip
import json
import math
import os
import random
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

TOKENS = (37, 74)
# Families drawn sixteen times; those drawn four times; those that the reader refuses by name: one config, no count.
MANY, FEW, REFUSED = (
    names.split()
    for names in (
        """
        cohere dbrx deepseek_v2 deepseek_v3 deepseek_v32 deepseek_v4 ernie4_5_moe falcon gemma2 gemma3 gemma3_text
        gemma3n gemma3n_text gemma4 gemma4_text glm4 glm4_moe glm4_moe_lite glm_moe_dsa gpt_oss hunyuan_v1_dense
        hunyuan_v1_moe jamba kimi_k25 kimi_linear laguna llama llama4 llama4_text longcat_flash mimo_v2_flash minimax
        minimax_m2 minimax_m3_vl minimax_m3_vl_text ministral3 mistral mixtral mpt nemotron_h olmo2 olmo3 phi phi3
        phimoe qwen2 qwen3 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next qwen3_vl_moe step3p7
        """,
        """
        afmoe apertus arcee axk1 bamba biogpt bitnet bloom codegen cohere2 cohere2_moe cwm dots1 ernie4_5 exaone4
        exaone4_5 exaone_moe falcon_h1 falcon_mamba flex_olmo flint gemma glm glm4v glm4v_moe gpt2 gpt_bigcode gpt_neox
        gptj granite granite_swa granitemoe granitemoe_swa granitemoehybrid granitemoeshared helium hy_v3 hyperclovax
        internlm3 iquestcoder jais2 kolibri1 lfm2 lfm2_moe lfm3 mamba mamba2 mellum minicpm3 ministral mistral3
        mistral4 nanochat nemotron olmo olmo_hybrid olmoe opt persimmon qwen2_5_vl qwen2_moe qwen2_vl qwen3_vl seed_oss
        smollm3 solar_open stablelm starcoder2 vaultgemma youtu
        """,
        """
        axk2 bailing_hybrid diffllama doge dots3_note_text ernie4_5_vl_moe glm5_next gpt_neo hrm_text hy_v4
        inkling2_text inkling_text jetmoe mistral_large4 mllama modernbert-decoder qwen4_exp qwen4_exp_text
        recurrent_gemma rwkv xlstm zamba zamba2 zaya
        """,
    )
)
SAYS_NOTHING = re.compile(
    r".*(drop(out)?|dropout_prob|eps|epsilon|_coef|jitter_noise|token_id|(?<!dim_)multiplier|scaling(_factor)?|theta"
    r"|softcapping)|summary_.*|output_(hidden_states|attentions|router_logits)|time_step_(?!rank).*|rope_parameters"
    r"|(vision|audio)_config|(torch_)?dtype|id2label|label2id|architectures|problem_type|transformers_version"
    r"|_name_or_path|return_dict|use_cache|initializer_range"
    r"|chunk_size_feed_forward|is_encoder_decoder|partial_rotary_factor|n_group|topk_group|norm_topk_prob|scoring_func"
    r"|query_pre_attn_scalar|pretraining_tp|rescale_prenorm_residual|use_mamba_kernels|mamba_chunk_size|swiglu_limit"
    r"|activation_sparsity_pattern|hc_sinkhorn_iters|kv_sharing_modes"
)
# Classes without a default for a field that they need.
NEEDED = {
    "dbrx": {"attn_config": {"rope_theta": 500000}},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
}
NO_DEFAULT = {
    "deepseek_v2": "names no number of chosen experts",
    "dots1": "does not build",
    "gemma3n": "its tower needs another package; gemma3n_text is the same decoder",
    "glm4_moe": "heads do not divide the hidden size, and there is no head_dim",
    "glm4v_moe": "heads do not divide the hidden size, and there is no head_dim",
    "lfm2_moe": "does not build",
}
# The published configs of Gemma 3 leave out what their class gives: a config of nothing but its type.
EMPTY = ("gemma3", "gemma3_text")
# Falcon's new architecture has none either: the framework keeps it for every query head, published tables do not.
NO_CACHE = {
    **dict.fromkeys(("glm4v", "glm4v_moe", "qwen2_vl", "qwen2_5_vl"), "rotates parts of a head that small heads lack"),
    "step3p7": "has no class for its decoder alone",
}
# A wrapper whose class takes any decoder, and the decoder it is drawn with.
INSIDE = {"exaone4_5": "exaone4", "kimi_k25": "deepseek_v3", "mistral3": "mistral"}

ABSENT = object()
S, F, L = "sliding_attention", "full_attention", "linear_attention"


def draw_fields(rng, config, table):
    """Draw every field of the table from its possibilities: values, functions of what is drawn so far, or ABSENT."""
    for field, possible in table.items():
        value = rng.choice(possible)
        if callable(value):
            value = value(rng, config)
        config.pop(field, None)
        if value is not ABSENT:
            config[field] = value


def each(*kinds, first=None, last=None):
    """One of the kinds for every layer, with the first and the last as told."""

    def layers(rng, config):
        drawn = [rng.choice(kinds) for _ in range(config["num_hidden_layers"])]
        return [first or drawn[0], *drawn[1:-1], last or drawn[-1]]

    return layers


def some(number):
    """So many different layers, in order."""
    return lambda rng, config: sorted(rng.sample(range(config["num_hidden_layers"]), number))


def of(field, change=lambda value: value):
    """What another field says, or something made of it."""
    return lambda rng, config: change(config[field])


def key_value_heads(rng, config):
    return rng.choice([heads for heads in (1, 2, 3, 4, 6, 12) if config["num_attention_heads"] % heads == 0])


def hidden_size(rng, config):
    return config.get("num_attention_heads", 4) * rng.choice((8, 16, 24))


HEADS = of("num_attention_heads")
YES_NO, MAYBE = (True, False), (True, False, ABSENT)
# Fields that many classes share; each class gets those that it knows.
SHARED = {
    "num_attention_heads": (4, 6, 8, 12), "num_key_value_heads": (key_value_heads,), "hidden_size": (hidden_size,),
    "num_hidden_layers": (3, 4, 5, 6, 7, 8, 9), "vocab_size": (301, 512, 777), "head_dim": (8, 16, 32, ABSENT),
    "intermediate_size": (40, 88, 136), "moe_intermediate_size": (24, 56), "n_routed_experts": (4, 6, 8),
    "num_experts": (4, 6, 8), "num_local_experts": (4, 6, 8), "num_experts_per_tok": (1, 2, 3),
    "n_shared_experts": (1, 2), "num_shared_experts": (1, 2, ABSENT), "shared_expert_intermediate_size": (32, 48),
    "first_k_dense_replace": (0, 1, 2), "num_dense_layers": (0, 1, 2, ABSENT), "q_lora_rank": (12, 20),
    "kv_lora_rank": (16, 28), "qk_nope_head_dim": (8, 12), "qk_rope_head_dim": (4, 8), "v_head_dim": (8, 10),
    "index_n_heads": (2, 4), "index_head_dim": (8, 16), "linear_conv_kernel_dim": (3, 4),
    "linear_key_head_dim": (8, 16), "linear_value_head_dim": (8, 12), "linear_num_key_heads": (2,),
    "linear_num_value_heads": (4, 6), "sliding_window": (16, 64), "attention_bias": MAYBE, "mlp_bias": YES_NO,
    "use_qk_norm": YES_NO, "tie_word_embeddings": MAYBE, "max_position_embeddings": (128, 512), "n_group": (1,),
    "topk_group": (1,), "pad_token_id": (0,), "bos_token_id": (1,), "eos_token_id": (2,),
}  # fmt: skip
WINDOWS = {"layer_types": (ABSENT, each(S, F))}
LINEAR = {"layer_types": (ABSENT, each(L, F), each(L, F)), "full_attention_interval": (ABSENT, 2, 3)}
SPARSE_STEP = {"decoder_sparse_step": (ABSENT, 1, 2), "mlp_only_layers": (ABSENT, [], [0], [1, 2])}
LATENT = {"num_key_value_heads": (HEADS,), "head_dim": (ABSENT,), "q_lora_rank": (12, 20, None)}
STATES = {"state_size": (4, 8), "conv_kernel": (3, 4), "use_bias": YES_NO, "use_conv_bias": YES_NO}
MAMBA = {"intermediate_size": (ABSENT,), **STATES, "expand": (1, 2), "time_step_rank": (5, "auto")}
MAMBA2 = {
    "mamba_expand": (2,), "mamba_d_head": (4, 8), "mamba_n_groups": (1, 2), "mamba_d_state": (4, 8),
    "mamba_n_heads": (lambda rng, config: 2 * config["hidden_size"] // config["mamba_d_head"],),
    "mamba_d_conv": (3, 4), "mamba_conv_bias": YES_NO, "mamba_proj_bias": YES_NO,
}  # fmt: skip
GPT2 = {
    "n_head": (4, 8), "n_embd": (of("n_head", lambda heads: 16 * heads),), "n_layer": (2, 3, 4, 5),
    "vocab_size": (300,), "n_positions": (128,), "n_inner": (ABSENT, 72, None), "bos_token_id": (None,),
    "eos_token_id": (None,),
}  # fmt: skip


def heads_per_layer(rng, config):
    return [config["num_key_value_heads"] * one for one in each(1, 2, 3)(rng, config)]


def own_attention(rng, config):
    """Kimi Linear's lists of layers, which count from one."""
    full = [layer for layer in range(1, config["num_hidden_layers"] + 1) if rng.random() < 0.35] or [1]
    kda = [layer for layer in range(1, config["num_hidden_layers"] + 1) if layer not in full]
    heads = {"head_dim": rng.choice((8, 16)), "num_heads": rng.choice((3, 4))}
    return {"full_attn_layers": full, "kda_layers": kda, **heads, "short_conv_kernel_size": rng.choice((3, 4))}


def sparse_attention(rng, config):
    """MiniMax-M3's group of fields, in the published spelling."""
    heads = {"sparse_num_index_heads": rng.choice((2, 4)), "sparse_index_dim": rng.choice((8, 16))}
    blocks = {"sparse_block_size": 16, "sparse_topk_blocks": 4, "sparse_local_block": 1}
    return {"sparse_attention_freq": each(0, 1)(rng, config), **heads, **blocks}


def sliding_heads(rng, config):
    """Step-3's other attention, for its layers with a window."""
    if "layer_types" not in config:
        return ABSENT
    groups, width = config["num_key_value_heads"], config.get("head_dim", 128)
    return {"attention_type": S, "num_attention_heads": groups * rng.choice((2, 5)), "num_attention_groups": groups,
            "head_dim": width}  # fmt: skip


def shared_caches(rng, config):
    """As many of Gemma's last layers as find an own layer of their kind before them."""
    count = config["num_hidden_layers"]
    kinds = config.get("layer_types") or [*(F if (i + 1) % 6 == 0 else S for i in range(count - 1)), F]
    fit = [number for number in range(1, count - 1) if set(kinds[:-number]) == set(kinds)]
    return rng.choice(fit) if fit else ABSENT


def if_set(field, *possible):
    """One of the possibilities where another field says yes."""
    return lambda rng, config: rng.choice(possible) if config.get(field) else ABSENT


def unless(field, value):
    """The value where another field is absent."""
    return lambda rng, config: ABSENT if field in config else value


# Not drawn: Helium whose heads do not fill its output matrix; OPT with embeddings of a width of their own; mistral3
# wrappers that say nothing of tied embeddings; MPT's expansion_ratio, which its class does not read; Falcon's new
# decoder with one norm before attention and MLP; Nemotron-H whose mamba_proj_bias is not its use_bias.
FAMILY_FIELDS = {
    "bamba": MAMBA2 | {"attn_layer_indices": (some(2),)},
    "bloom": {"n_head": (4, 8), "n_layer": (2, 3, 4), "hidden_size": (64, 96)},
    "codegen gptj": GPT2 | {"rotary_dim": (8,)},
    "cohere2 exaone4 gemma2 olmo3 vaultgemma gpt_oss granite_swa granitemoe_swa": WINDOWS,
    "gemma3 gemma3_text": WINDOWS | {"sliding_window_pattern": (ABSENT, 2, 3)},
    "dbrx": {
        "n_heads": (4, 8), "d_model": (of("n_heads", lambda heads: 8 * heads),), "n_layers": (2, 3, 4, 5),
        "max_seq_len": (128,), "pad_token_id": (None,), "tie_word_embeddings": (ABSENT,),
        "attn_config": tuple({"kv_n_heads": heads, "clip_qkv": 8, "rope_theta": 500000} for heads in (1, 2, 4)),
        "ffn_config": tuple(
            {"ffn_hidden_size": width, "moe_num_experts": experts, "moe_top_k": 2}
            for width in (24, 40) for experts in (4, 8)
        )},
    "deepseek_v2 deepseek_v3 kimi_k25 youtu mistral4 minicpm3": LATENT,
    "axk1": LATENT | {"q_lora_rank": (12, 20)},
    "dots1": {"num_key_value_heads": (HEADS,), "head_dim": (ABSENT,)},
    "deepseek_v32": LATENT | {"q_lora_rank": (12, 20), "index_topk": (8,)},
    "glm_moe_dsa": LATENT | {
        "q_lora_rank": (12, 20), "index_topk": (8,), "indexer_types": (ABSENT, each("full", "shared", first="full")),
        "index_topk_freq": (ABSENT, 2, 4), "index_skip_topk_offset": (if_set("index_topk_freq", 2, 3),)},
    "deepseek_v4": {
        "intermediate_size": (ABSENT,), "head_dim": (16,), "num_key_value_heads": (1,), "qk_rope_head_dim": (8,),
        "o_groups": (2, of("num_attention_heads", lambda heads: heads // 2)), "o_lora_rank": (6, 10), "hc_mult": (2, 4),
        "n_shared_experts": (1,), "index_topk": (8,), "num_hash_layers": (ABSENT, 0, 1, 3),
        "compress_ratios": (ABSENT, each(0, 4, 128), each(0, 4, 128))},
    "ernie4_5_moe": {
        "moe_num_experts": (4, 6), "moe_k": (2,), "moe_num_shared_experts": (0, 1, 2), "moe_layer_interval": (1, 2),
        "moe_layer_start_index": (0, 1, 2), "use_bias": YES_NO,
        "moe_layer_end_index": (ABSENT, of("num_hidden_layers", lambda layers: layers - 2))},
    "falcon": {
        "new_decoder_architecture": YES_NO, "multi_query": YES_NO, "parallel_attn": YES_NO, "bias": YES_NO,
        "alibi": YES_NO, "num_kv_heads": (if_set("new_decoder_architecture", 1, 2),),
        "num_ln_in_parallel_attn": (ABSENT, of("new_decoder_architecture", lambda new: 2 if new else 1)),
        "ffn_hidden_size": (ABSENT, 72)},
    "falcon_h1": {"mamba_d_ssm": (of("hidden_size"), of("hidden_size", lambda width: 2 * width))} | MAMBA2 | {
        "mamba_rms_norm": YES_NO,
        "mamba_n_heads": (lambda rng, config: config["mamba_d_ssm"] // config["mamba_d_head"],)},
    "falcon_mamba mamba": MAMBA,
    "gemma3n gemma3n_text": {
        "num_hidden_layers": (7, 10, 12), "vocab_size_per_layer_input": (200, 260), "laurel_rank": (4, 6),
        "hidden_size_per_layer_input": (6, 8), "altup_num_inputs": (2, 4), "num_kv_shared_layers": (0, 1, 2),
        "intermediate_size": (40, 88, each(32, 64)),
        "layer_types": (ABSENT, of("num_hidden_layers", lambda layers: ([S, F] * layers)[:layers]))},
    "gemma4 gemma4_text": {
        "num_hidden_layers": (7, 8, 9), "layer_types": (ABSENT, each(S, F, first=S, last=F)),
        "hidden_size_per_layer_input": (0, 6, 10), "vocab_size_per_layer_input": (ABSENT, of("vocab_size")),
        "global_head_dim": (ABSENT, 16, 40), "attention_k_eq_v": (ABSENT, True),
        "num_global_key_value_heads": (ABSENT, 1, 2, None), "num_kv_shared_layers": (ABSENT, shared_caches),
        "use_double_wide_mlp": (if_set("num_kv_shared_layers", True, False),), "enable_moe_block": (ABSENT, True),
        "num_experts": (if_set("enable_moe_block", 4, 6),), "top_k_experts": (if_set("enable_moe_block", 2),),
        "moe_intermediate_size": (if_set("enable_moe_block", 24, 40),), "num_experts_per_tok": (ABSENT,)},
    "glm4_moe_lite": LATENT | {
        "first_k_dense_replace": (ABSENT,), "mlp_layer_types": (ABSENT, each("dense", "sparse", first="dense"))},
    "gpt2": GPT2 | {"tie_word_embeddings": (ABSENT, False)},
    "gpt_bigcode": GPT2 | {"multi_query": (ABSENT, True, False)},
    "gpt_neox": {"num_key_value_heads": (ABSENT,), "use_parallel_residual": YES_NO},
    "granitemoehybrid": MAMBA2 | {
        "layer_types": (each(L, F),), "shared_intermediate_size": (32, 48), "num_local_experts": (0, 4)},
    "granitemoeshared": {"shared_intermediate_size": (0, 32)},
    "helium": {"head_dim": (lambda rng, config: config["hidden_size"] // config["num_attention_heads"],)},
    "hunyuan_v1_dense": {"head_dim": (8, 16, 24)},
    "hunyuan_v1_moe": {"head_dim": (8, 16, 24), "num_experts": (2, 4), "moe_topk": (2,)},
    "internlm3": {"attention_bias": (ABSENT,), "mlp_bias": (ABSENT,), "bias": YES_NO, "qkv_bias": (of("bias"),)},
    "jamba": {
        "head_dim": (ABSENT,), "attn_layer_period": (2, 3, 4), "attn_layer_offset": (0, 1),
        "expert_layer_offset": (0, 1), "expert_layer_period": (2, 3), "mamba_d_state": (4, 8), "mamba_d_conv": (3, 4),
        "mamba_expand": (1, 2, 3), "mamba_proj_bias": YES_NO, "mamba_conv_bias": YES_NO,
        "mamba_dt_rank": (ABSENT, 5, "auto"), "num_experts": (1, 4, 6, 8)},
    "kimi_linear": LATENT | {
        "q_lora_rank": (12, None, None), "num_experts": (4, 8), "num_local_experts": (ABSENT,),
        "num_shared_experts": (1, 2), "n_shared_experts": (ABSENT,), "num_experts_per_token": (2,),
        "num_experts_per_tok": (ABSENT,), "linear_attn_config": (ABSENT, own_attention, own_attention),
        "linear_head_dim": (unless("linear_attn_config", 8),), "linear_num_heads": (unless("linear_attn_config", 5),),
        "linear_conv_kernel_dim": (unless("linear_attn_config", 4),)},
    "laguna": {
        "num_attention_heads_per_layer": (ABSENT, heads_per_layer), "layer_types": (ABSENT, each(S, F)),
        "mlp_layer_types": (ABSENT, each("dense", "sparse")), "gating": (ABSENT, True, "per-head", "per-element")},
    "lfm2 lfm2_moe": {
        "layer_types": (each("conv", F),), "conv_bias": YES_NO, "conv_L_cache": (3, 4),
        "block_auto_adjust_ff_dim": (ABSENT, False), "block_multiple_of": (16,)},
    "llama4 llama4_text": {
        "intermediate_size_mlp": (72, 104), "interleave_moe_layer_step": (ABSENT, 1, 2),
        "moe_layers": (ABSENT, some(2)), "no_rope_layers": (ABSENT, [], each(0, 1)), "attention_chunk_size": (64,)},
    "longcat_flash": {
        "num_hidden_layers": (ABSENT,), "num_layers": (2, 3, 4), "ffn_hidden_size": (40, 72), "moe_topk": (2,),
        "expert_ffn_hidden_size": (24, 32), "n_routed_experts": (4, 6), "zero_expert_num": (0, 2, 3),
        "num_key_value_heads": (ABSENT,), "head_dim": (of("qk_rope_head_dim"),), "num_experts_per_tok": (ABSENT,),
        "router_bias": (ABSENT, True)},
    "mamba2": STATES | {
        "head_dim": (4, 8), "expand": (2,), "n_groups": (1, 2),
        "num_heads": (lambda rng, config: 2 * config["hidden_size"] // config["head_dim"],)},
    "mimo_v2_flash": {
        "num_attention_heads": (4, 8, 12), "num_key_value_heads": (1, 2), "head_dim": (8, 16, 32),
        "hybrid_layer_pattern": (ABSENT, each(0, 1), each(0, 1)), "moe_layer_freq": (ABSENT, each(0, 1)),
        "swa_num_attention_heads": (HEADS,), "swa_num_key_value_heads": (of("num_key_value_heads", lambda kv: 2 * kv),),
        "swa_head_dim": (of("head_dim"),), "swa_v_head_dim": (of("v_head_dim"),),
        "add_swa_attention_sink_bias": (True,), "add_full_attention_sink_bias": (False,),
        "sliding_window_size": (of("sliding_window"),)},
    "minimax": {"layer_types": (ABSENT, each(L, F), each(L, F))},
    "minimax_m3_vl minimax_m3_vl_text": {
        "dense_intermediate_size": (40, 64), "shared_intermediate_size": (24, 48), "index_n_heads": (ABSENT,),
        "index_head_dim": (ABSENT,), "moe_layer_freq": (ABSENT, each(0, 1)),
        "sparse_attention_config": (ABSENT, sparse_attention, sparse_attention)},
    "ministral": {"head_dim": (8, 16, 32)},
    "mistral3": {"tie_word_embeddings": YES_NO},
    "mpt": {
        "n_heads": (4, 8), "d_model": (of("n_heads", lambda heads: 8 * heads),), "n_layers": (2, 3, 4, 5),
        "max_seq_len": (128,), "no_bias": (True,), "expansion_ratio": (4,),
        "attn_config": (ABSENT, {"alibi": True, "qk_ln": False, "attn_type": "multihead_attention"})},
    "nemotron_h": {
        "use_bias": YES_NO, "hybrid_override_pattern": ("M*-E", "MEM*EM", "M-M*-", "ME*EME", "*-M", "MMM*E-ME"),
        "ssm_state_size": (4, 8), "num_hidden_layers": (of("hybrid_override_pattern", len),), "mamba_num_heads": (4, 6),
        "expand": (2,), "mamba_proj_bias": (of("use_bias"),), "mamba_head_dim": (8, 12), "n_groups": (1, 2),
        "conv_kernel": (3, 4), "use_conv_bias": YES_NO, "moe_shared_expert_intermediate_size": (32, 48),
        "moe_latent_size": (ABSENT, 20, 28)},
    "olmo_hybrid": {"layer_types": (each(L, F, first=L, last=F),)},
    "opt": {
        "ffn_dim": (40, 72), "word_embed_proj_dim": (of("hidden_size"),), "enable_bias": YES_NO,
        "do_layer_norm_before": YES_NO, "layer_norm_elementwise_affine": YES_NO},
    "persimmon": {"qk_layernorm": YES_NO},
    "phi": {"head_dim": (ABSENT,), "qk_layernorm": (ABSENT, True)},
    "phimoe": {"lm_head_bias": YES_NO},
    "qwen2 qwen3 qwen2_vl qwen2_5_vl": {
        "use_sliding_window": (ABSENT, True), "max_window_layers": (if_set("use_sliding_window", 0, 2),)},
    "qwen2_moe": SPARSE_STEP | {"qkv_bias": (ABSENT, False)},
    "qwen3_moe qwen3_vl_moe": SPARSE_STEP,
    "qwen3_next": LINEAR | SPARSE_STEP,
    "qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text": LINEAR,
    "seed_oss": {"attention_out_bias": YES_NO},
    "smollm3": {"sliding_window": (ABSENT,)},
    "stablelm": {"use_qkv_bias": YES_NO, "qk_layernorm": YES_NO, "use_parallel_residual": YES_NO},
    "starcoder2": {"use_bias": YES_NO},
    "step3p7": {
        "vocab_size": (301,), "n_routed_experts": (4,), "num_local_experts": (ABSENT,), "share_expert_dim": (32, 40),
        "layer_types": (ABSENT, each(S, F), each(S, F)), "attention_other_setting": (sliding_heads,),
        "moe_layers_enum": (ABSENT, "1,2", "0,2"), "pad_token_id": (ABSENT,)},
}  # fmt: skip

FIELDS = {family: table for names, table in FAMILY_FIELDS.items() for family in names.split()}
# What a decoder keeps beside its own: towers, and what carries their output to the decoder.
NOT_TEXT = re.compile(r"(^|\.)(visual|vision_\w+|audio_\w+|embed_(vision|audio)|\w*projector|patch_merger)\.")
LAYER = re.compile(r"(?:layers?|h|blocks)\.\d+\.(.+)")
# The part of a parameter by its name, first match first: inside a layer, and outside of all layers.
INSIDE_LAYER = (
    ("norm", r"altup|laurel|sub_norm|_hc\."),
    ("router", r"router|expert_bias|^(mlp|feed_forward|mixer)\.gate\."),
    ("shared_experts", r"shared|_latent_proj"),
    ("routed_experts", r"experts\."),
    ("dense_mlp", r"^(mlp|mlps\.\d|feed_forward|ffn)\.(?!.*norm)|^fc\d|^mixer\.(up|down)_proj"),
    ("attention", r"^(self_attn|self_attention|attention|attn|linear_attn|mamba|mixer|conv|norm_attn_norm\.attn)\."),
    ("norm", ""),
)
OUTSIDE = (("lm_head", r"lm_head|output_projection"), ("norm", r"norm|ln_f|hc_head"), ("embedding", ""))

# The kind of a cached tensor by the name that a layer of the cache holds it under; under other names are counters and
# the tokens that wait for a stride to fill.
STORED = (
    ("index", r"^\.(indexer_keys|idx_keys|compressed_kv\.indexer)"),
    ("compressed", r"^\.compressed_kv"),
    ("conv_states", r"^\.conv_states"),
    ("recurrent_states", r"^\.recurrent_states"),
    ("full", r"^\.(keys|values)$"),
)


def part(name):
    layer = LAYER.search(name)
    rules, rest = (INSIDE_LAYER, layer[1]) if layer else (OUTSIDE, name)
    return next(part for part, pattern in rules if re.search(pattern, rest))


def known_fields(family):
    """The fields that the class of a family's decoder knows, and the type of that decoder."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[INSIDE.get(family, family)]
    kind = (getattr(kind, "sub_configs", None) or {}).get("text_config", kind)
    return {field.name for field in dataclasses.fields(kind)}, kind.model_type


def drawn(family, rng):
    """A random config of the family, a wrapper's fields in its text_config."""
    known, decoder = known_fields(family)
    fields = {}
    draw_fields(rng, fields, {field: possible for field, possible in SHARED.items() if field in known})
    draw_fields(rng, fields, FIELDS.get(family, {}))
    if decoder == family:
        return {"model_type": family, **fields}
    tied = {key: fields[key] for key in ("tie_word_embeddings",) if key in fields}
    return {"model_type": family, "text_config": {**fields, "model_type": decoder}, **tied}


def translated(config):
    """The config with published fields (MiMo-V2's) in the spelling that the framework's class reads."""
    config = copy.deepcopy(config)
    if "hybrid_layer_pattern" in config:
        config["layer_types"] = [S if kind else F for kind in config["hybrid_layer_pattern"]]
    if config["model_type"] == "mimo_v2_flash" and "moe_layer_freq" in config:
        config["mlp_layer_types"] = ["sparse" if kind else "dense" for kind in config["moe_layer_freq"]]
    return config


def framework_config(config):
    from transformers import CONFIG_MAPPING

    config = translated(config)
    return CONFIG_MAPPING[config["model_type"]].from_dict(config)


def plain(config):
    """All fields of a framework's config, as JSON."""
    return json.loads(json.dumps(config.to_dict(), default=str))


def counted(config):
    """The shapes of a model's parameters, by name, each tied one once."""
    import torch
    import transformers
    from transformers.models.auto import modeling_auto as auto

    if config.model_type == "gemma3n":  # its tower needs another package
        config = config.text_config
    names = next(
        mapping[config.model_type]
        for mapping in (
            auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
            auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
            auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        )
        if config.model_type in mapping
    )
    with torch.device("meta"):
        model = getattr(transformers, names if isinstance(names, str) else names[0])._from_config(config)
    model.tie_weights()
    return {name: list(p.shape) for name, p in model.named_parameters() if not NOT_TEXT.search(name)}


def surplus(shapes, config):
    """LongCat's class allocates matrices for the experts that do nothing."""
    if config.model_type != "longcat_flash":
        return 0
    stacks = [shape for name, shape in shapes.items() if name.endswith("experts.gate_up_proj")]
    return sum((shape[0] - config.n_routed_experts) * shape[1] * shape[2] for shape in stacks)


def count_row(name, config, built):
    shapes = counted(built)
    parts = Counter()
    for parameter, shape in shapes.items():
        parts[part(parameter)] += math.prod(shape)
    if built.model_type == "granitemoehybrid" and "routed_experts" not in parts:  # where all experts are shared ones
        parts["dense_mlp"] = parts.pop("shared_experts")
    more = surplus(shapes, built)
    if "routed_experts" in parts:
        parts["routed_experts"] -= more
    return {"name": name, "config": stripped(config), "total": sum(parts.values()), "parts": dict(parts)}


def tensors(held, name=""):
    """Every tensor that a cache's layer holds, with the names under which it does."""
    import torch

    if isinstance(held, torch.Tensor):
        yield name, held
    elif isinstance(held, dict):
        for key, value in held.items():
            yield from tensors(value, f"{name}.{key}")


def kept(decoder, tokens):
    """Numbers in the cache after so many tokens, by kind."""
    import torch

    with torch.no_grad():
        cache = decoder(input_ids=torch.randint(3, 200, (1, tokens)), use_cache=True)
    cache = getattr(cache, "past_key_values", None) or cache.cache_params
    found = Counter()
    for layer in cache.layers:
        window = re.search("Sliding|DeepseekV4", type(layer).__name__)
        for name, tensor in tensors(vars(layer)):
            kind = next((kind for kind, pattern in STORED if re.search(pattern, name)), None)
            if kind == "full" and window:
                kind = "window"
            if kind and not (decoder.config.model_type == "deepseek_v4" and name == ".values"):  # its value is its key
                found[kind] += tensor.numel()
    return {kind: numbers for kind, numbers in found.items() if numbers}


def cache_row(name, config, built):
    import torch
    from transformers import AutoModel

    torch.manual_seed(0)
    decoder = AutoModel.from_config(built.get_text_config(), dtype=torch.float32).eval()
    return {"name": name, "config": stripped(config), "kept": {str(n): kept(decoder, n) for n in TOKENS}}


def stripped(config):
    return {
        field: stripped(value) if isinstance(value, dict) else value
        for field, value in config.items()
        if not SAYS_NOTHING.fullmatch(field)
    }


def rows_of(family, seed):
    """All rows of a family: those of counts, and those of caches."""
    from transformers import CONFIG_MAPPING

    counts, caches = [], []
    if family not in NO_DEFAULT:
        built = CONFIG_MAPPING[family](**copy.deepcopy(NEEDED.get(family, {})))
        name, config = f"{family}--default", plain(built)
        if family in REFUSED:
            return [{"name": name, "config": stripped(config), "total": None}], []
        counts.append(count_row(name, config, built))
        if family in EMPTY:
            counts.append(count_row(f"{name}-empty", {"model_type": family}, built))
    for case in range(16 if family in MANY else 4):
        config = drawn(family, random.Random(f"{seed} {family} {case}"))
        name = f"{family}--rand{case}"
        try:
            built = framework_config(config)
            if case % 4 == 3:
                name, config = f"{name}-full", plain(built)
            counts.append(count_row(name, config, built))
            if family not in NO_CACHE and not config.get("new_decoder_architecture"):
                caches.append(cache_row(name, config, built))
        except Exception as refusal:  # of the framework, which cannot build or run all that can be drawn
            print(f"{name}: {type(refusal).__name__}: {' '.join(str(refusal).split())[:120]}", file=sys.stderr)
    return counts, caches


def write(path, rows):
    lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in sorted(rows, key=lambda row: row["name"]))
    with open(path, "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, mtime=0, compresslevel=9) as packed:
        packed.write(lines.encode())
    print(f"{path}: {len(rows)} rows, {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the two files")
    parser.add_argument("--families", nargs="+", default=[*MANY, *FEW, *REFUSED], help="these alone")
    parser.add_argument("--seed", default="0", help="another seed draws other configs")
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"], os.environ["TRANSFORMERS_VERBOSITY"] = "1", "error"
    warnings.filterwarnings("ignore")
    import torch

    torch.set_num_threads(1)
    found = [rows_of(family, asked.seed) for family in asked.families]
    asked.out.mkdir(parents=True, exist_ok=True)
    write(asked.out / "framework_counts.jsonl.gz", [row for counts, _ in found for row in counts])
    write(asked.out / "framework_caches.jsonl.gz", [row for _, caches in found for row in caches])


if __name__ == "__main__":
    main()
