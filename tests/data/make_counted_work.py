"""Make counted_work.jsonl.gz: the arithmetic and the numbers moved in one pass of small transformers that really ran.

Run it in an environment of its own, never in the project's; it takes half a minute::

    python3 -m venv ELSEWHERE && ELSEWHERE/bin/pip install torch==2.13.0
    ELSEWHERE/bin/pip install transformers==5.23.0
    ELSEWHERE/bin/python tests/data/make_counted_work.py --out tests/data

The numbers come from the framework alone: this package is not imported. Models of random weights run on the CPU, and
every matrix product that the tensor library executes is counted where it is executed (`Counter`): two FLOP per
multiply-add, the numbers of both operands and of the result, and which parameter an operand is a piece of, told by its
storage. Hooks tell in which module. The same versions and the same --seed give the same bytes; on another kind of
processor a token may choose another expert. Another seed draws other weights and tokens.

A pass is so many new tokens (`pass_tokens`) of so many sequences (`batch`), each after so many cached ones (`context`)
that a first pass, not counted, has put into the framework's own cache. `logit_tokens` of a sequence's new tokens reach
the output matrix: all of them, or the last one as in an engine's prefill.

Attention is the framework's eager one, which computes the whole rectangle of queries and keys, the masked half too.
Beside what was executed (`rectangle_pairs`, `rectangle_flop`) stand the pairs that the mask given to it allows
(`pairs`, of all sequences, for one head) and their share of the arithmetic (`flop`, of all heads). `seen` counts the
cached tokens that at least one of the new ones may see, of all sequences.

Multi-head latent attention is cached as latents. The framework expands all of them in every pass (form "expanded");
`absorbed_attention` works on the latents themselves with the same weights (form "absorbed"). Every model is checked
before it is counted: a pass on the cache gives the logits of one pass over all tokens, and so do both forms.

A row: `name`, `config`, `pass`, `form` ("plain" without latents), `params` and `lookup_params` (of the model; those of
matrices that are looked up alone), `vector_numbers` (parameters read outside of products and look-ups: norms, biases,
sinks), and lists: `modules`, `attention` (a layer each), `cache` (a layer each), `experts` (a layer each).

Of `modules`: `path` (a weight's, or that of the module in which two results are multiplied), `kind` (of KINDS; "pairs",
"index" and "recurrence" have no weights), `calls`, `flop`, `weight_numbers` (each once, however often it is used in the
pass), `in_numbers`, `out_numbers`. Those of "pairs" and "index" are of the whole rectangle, keys and values repeated
for every query head. Of `cache`, in numbers: `before` and `after` the pass, `written` by it, `read` (what the tokens
that are `seen` hold), the keys of an index likewise, and `states` of fixed size. Of `experts`: how many there are, how
many at least one token went to (`hit`), and how many copies of tokens went to all of them (`copies`).

"recurrence" is the framework's algorithm for states in a pass of several tokens, in padded chunks: it is not the least
arithmetic. The element-wise products of a single token are no matrix products and are not counted. "convolution" is
of padded inputs. Llama 4's experts are not here: its class gives every expert every token.
"""

import argparse
import copy
import gzip
import json
import math
import os
import re
import sys
import warnings
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# What a module is by its path, first match first.
KINDS = (
    ("lookup", r"embed_tokens|wte|wpe|\.embeddings$"),
    ("lm_head", r"lm_head"),
    ("shared_experts", r"shared_expert"),
    ("routed_experts", r"\.experts\."),
    ("router", r"\.(mlp|feed_forward|block_sparse_moe)\.(gate|router)$|\.router$"),
    ("dense_mlp", r"\.(mlp|feed_forward)\."),
    ("convolution", r"conv1d$"),
    ("attention", r"\.(self_attn|attn|linear_attn|mixer|mamba)\."),
)
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "convolution"}
# Products under other names would pass by uncounted: the run stops instead.
UNKNOWN_PRODUCTS = re.compile(r"^(linear|matmul|einsum|mv|addmv|dot|vdot|addbmm|.*scaled_dot.*|_?grouped_mm|.*_mm)$")
# What only looks at a tensor from another side: nothing is read.
VIEWS = {
    "view", "t", "transpose", "permute", "slice", "select", "unsqueeze", "squeeze", "expand", "detach", "alias",
    "as_strided", "split", "split_with_sizes", "chunk", "unbind", "_unsafe_view", "_reshape_alias",
}  # fmt: skip

SHARED = {
    "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
    "intermediate_size": 88, "vocab_size": 211, "max_position_embeddings": 256, "tie_word_embeddings": False,
}  # fmt: skip
EXPERTS = {"num_experts_per_tok": 3, "moe_intermediate_size": 24}
LATENT = {
    **SHARED, "num_key_value_heads": 6, "kv_lora_rank": 20, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8,
    "v_head_dim": 10,
}  # fmt: skip
DEEPSEEK = {
    **LATENT, **EXPERTS, "n_routed_experts": 8, "n_shared_experts": 2, "first_k_dense_replace": 1, "n_group": 1,
    "topk_group": 1,
}  # fmt: skip
LINEAR = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 12, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}  # fmt: skip
S, F, L = "sliding_attention", "full_attention", "linear_attention"
# Every dimension differs from the others where it can, so that no two confused ones give the same product.
MODELS = {
    "llama-mha": {"model_type": "llama", **SHARED, "num_key_value_heads": 6},
    "llama-gqa-biases": {"model_type": "llama", **SHARED, "attention_bias": True, "mlp_bias": True,
                         "tie_word_embeddings": True},
    "gpt2-mha-ungated": {"model_type": "gpt2", "n_embd": 48, "n_layer": 3, "n_head": 4, "n_inner": 88,
                         "vocab_size": 211, "n_positions": 256, "bos_token_id": None, "eos_token_id": None},
    "starcoder2-mqa-ungated": {"model_type": "starcoder2", **SHARED, "num_key_value_heads": 1, "sliding_window": None},
    "phi3-fused": {"model_type": "phi3", **SHARED, "pad_token_id": 0},
    "qwen2-biases": {"model_type": "qwen2", **SHARED},
    "qwen3-own-head": {"model_type": "qwen3", **SHARED, "head_dim": 20},
    "mistral-window": {"model_type": "mistral", **SHARED, "sliding_window": 16},
    "gemma2-windows-tied": {"model_type": "gemma2", **SHARED, "head_dim": 20, "tie_word_embeddings": True,
                            "sliding_window": 16, "layer_types": [S, F, S]},
    "gemma3-windows-tied": {"model_type": "gemma3_text", **SHARED, "head_dim": 20, "tie_word_embeddings": True,
                            "sliding_window": 16, "layer_types": [S, S, F]},
    "llama4-chunks-dense": {"model_type": "llama4_text", **SHARED, "head_dim": 20, "intermediate_size": 24,
                            "intermediate_size_mlp": 88, "num_local_experts": 6, "num_experts_per_tok": 1,
                            "moe_layers": [], "attention_chunk_size": 16, "no_rope_layers": [1, 1, 0]},
    "gpt-oss": {"model_type": "gpt_oss", **SHARED, "head_dim": 20, "intermediate_size": 24, "num_local_experts": 8,
                "num_experts_per_tok": 3, "sliding_window": 16, "layer_types": [S, F, S]},
    "mixtral": {"model_type": "mixtral", **SHARED, "intermediate_size": 24, "num_local_experts": 6,
                "num_experts_per_tok": 2, "sliding_window": None},
    "qwen2-moe": {"model_type": "qwen2_moe", **SHARED, **EXPERTS, "num_experts": 8,
                  "shared_expert_intermediate_size": 40, "decoder_sparse_step": 1, "mlp_only_layers": [1]},
    "qwen3-moe": {"model_type": "qwen3_moe", **SHARED, **EXPERTS, "head_dim": 20, "num_experts": 16,
                  "decoder_sparse_step": 1, "mlp_only_layers": []},
    "deepseek-v2-direct-queries": {"model_type": "deepseek_v2", **DEEPSEEK, "q_lora_rank": None},
    "deepseek-v3": {"model_type": "deepseek_v3", **DEEPSEEK, "q_lora_rank": 14},
    "deepseek-v32-selected": {"model_type": "deepseek_v32", **DEEPSEEK, "q_lora_rank": 14, "index_n_heads": 24,
                              "index_head_dim": 16, "index_topk": 16},
    "minicpm3-latent-dense": {"model_type": "minicpm3", **LATENT, "q_lora_rank": 14, "tie_word_embeddings": True},
    "qwen3-next-states": {"model_type": "qwen3_next", **SHARED, **EXPERTS, **LINEAR, "head_dim": 20, "num_experts": 8,
                          "shared_expert_intermediate_size": 40, "decoder_sparse_step": 1, "mlp_only_layers": [],
                          "layer_types": [L, F, L]},
    "mamba2-states": {"model_type": "mamba2", "hidden_size": 48, "num_hidden_layers": 2, "vocab_size": 211,
                      "state_size": 16, "head_dim": 12, "num_heads": 8, "expand": 2, "n_groups": 2, "conv_kernel": 4,
                      "use_bias": False, "use_conv_bias": True, "tie_word_embeddings": False},
}  # fmt: skip
# Sequences, context, new tokens, and how many of these reach the output matrix (0: all).
PASSES = ((1, 0, 1, 0), (1, 0, 23, 1), (3, 0, 40, 0), (1, 9, 1, 0), (1, 37, 1, 0), (5, 37, 1, 0), (64, 12, 1, 0),
          (2, 11, 7, 1), (1, 40, 21, 0), (3, 37, 2, 0))  # fmt: skip


def kind_of(path):
    return next((kind for kind, pattern in KINDS if re.search(pattern, path)), "other")


def distinct(tensor):
    """Numbers of a tensor, those of a dimension that only repeats them counted once."""
    return math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)


def operands(name, args):
    """The two factors of a product, and how many multiply-adds each number of the result takes."""
    left, right = args[1:3] if name in ("addmm", "baddbmm") else args[:2]
    depth = math.prod(right.shape[1:]) if name == "convolution" else left.shape[-1]
    return left, right, depth


class Counter(TorchDispatchMode):
    """Every product that is executed, by module; and the parameters that anything else reads."""

    def __init__(self, model):
        super().__init__()
        self.names = {p.untyped_storage().data_ptr(): name for name, p in model.named_parameters()}
        self.inside = [""]
        self.found = defaultdict(lambda: {"calls": 0, "flop": 0, "in_numbers": 0, "out_numbers": 0})
        self.used = defaultdict(dict)  # by module, which pieces of which parameters
        self.vectors = {}
        self.attending = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in PRODUCTS:
            self.product(name, args, result)
        elif UNKNOWN_PRODUCTS.match(name):
            raise NotImplementedError(f"a product that is not counted: {func}")
        elif name == "embedding":
            self.add(self.path(args[0]), "lookup", 0, 0, result)
        elif name not in VIEWS:
            self.read(args)
        return result

    def parameter(self, tensor):
        return self.names.get(tensor.untyped_storage().data_ptr()) if isinstance(tensor, torch.Tensor) else None

    def read(self, args):
        """Note what parameters an operation reads that is no product."""
        for one in args:
            if isinstance(one, (list, tuple)):
                self.read(one)
            elif name := self.parameter(one):
                self.vectors[name, one.storage_offset(), one.shape] = distinct(one)

    def path(self, weight):
        """The module that runs, down to the parameter where it is its own; a tied matrix is its user's."""
        name, module = self.parameter(weight).removesuffix(".weight"), self.inside[-1]
        return name if f"{name}.".startswith(f"{module}.") else module

    def product(self, name, args, result):
        left, right, depth = operands(name, args)
        weights = [one for one in (left, right) if self.parameter(one)]
        flop = 2 * result.numel() * depth
        if name in ("addmm", "baddbmm"):
            self.read(args[:1])
        if name == "convolution":
            self.read(args[2:3])
        if not weights:
            self.add(self.inside[-1], self.kind_without_weights(), flop, distinct(left) + distinct(right), result)
            return
        (weight,) = weights
        path = self.path(weight)
        self.add(path, kind_of(path), flop, distinct(left if weight is right else right), result)
        self.used[path][weight.storage_offset(), tuple(sorted(weight.shape))] = distinct(weight)

    def kind_without_weights(self):
        module = self.inside[-1]
        if self.attending:
            return "pairs"
        if "index" in module:
            return "index"
        if re.search(r"\.(mixer|linear_attn)$", module):
            return "recurrence"
        raise NotImplementedError(f"a product without weights that no one expects, in {module}")

    def add(self, path, kind, flop, read, result):
        found = self.found[path, kind]
        found["calls"] += 1
        found["flop"] += flop
        found["in_numbers"] += read
        found["out_numbers"] += result.numel()

    def modules(self):
        return [
            {"path": short(path), "kind": kind, **found, "weight_numbers": sum(self.used[path].values())
             if kind not in ("pairs", "lookup") else 0}
            for (path, kind), found in self.found.items()
        ]  # fmt: skip

    def experts(self, model):
        """Of every layer's experts, how many have worked, and for how many tokens together."""
        rows = []
        for path, module in model.named_modules():
            stack = getattr(module, "gate_up_proj", None)
            if isinstance(stack, torch.nn.Parameter) and stack.dim() == 3:
                name = f"{path}.gate_up_proj"
                found = next((f for (p, _), f in self.found.items() if p == name), {"in_numbers": 0})
                rows.append({"path": short(path), "experts": stack.shape[0], "hit": len(self.used[name]),
                             "copies": found["in_numbers"] // model.config.hidden_size})  # fmt: skip
        return rows


def short(path):
    return re.sub(r"^(model|transformer|backbone)\.", "", path)


@contextmanager
def told(model, counter):
    """While this lasts, the counter knows which module is running."""

    def leave(*_):
        counter.inside.pop()

    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: counter.inside.append(name)))
        hooks.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Attention:
    """The framework's own eager attention, with a note of what its mask allows; or the absorbed form."""

    def __init__(self):
        self.counter, self.rows = None, []

    def __call__(self, module, query, key, value, attention_mask, *args, **kwargs):
        if self.counter is None:
            return self.run(module, query, key, value, attention_mask, *args, **kwargs)
        before, self.counter.attending = self.flop(), True
        result = self.run(module, query, key, value, attention_mask, *args, **kwargs)
        self.counter.attending = False
        self.note(query, key, attention_mask, self.flop() - before)
        return result

    def run(self, module, query, key, value, *args, **kwargs):
        own = sys.modules[type(module).__module__].eager_attention_forward
        forward = absorbed_attention if "expand_kv" in vars(module) else own
        return forward(module, query, key, value, *args, **kwargs)

    def flop(self):
        return sum(found["flop"] for (_, kind), found in self.counter.found.items() if kind == "pairs")

    def note(self, query, key, mask, flop):
        batch, heads, new, _ = query.shape
        tokens = key.shape[-2]
        if mask is None:
            raise NotImplementedError("attention without a mask: its pairs are not known")
        mask = mask.expand(batch, 1, new, tokens)
        allowed = mask if mask.dtype == torch.bool else mask == 0
        pairs, rectangle = int(allowed.sum()), batch * new * tokens
        seen = int(allowed.any(dim=2)[:, 0, : tokens - new].sum())
        if flop * pairs % rectangle:
            raise ArithmeticError("the rectangle's arithmetic is not that of equal pairs")
        self.rows.append({
            "path": short(self.counter.inside[-1]), "heads": heads, "keys": tokens, "rectangle_pairs": rectangle,
            "rectangle_flop": flop, "pairs": pairs, "flop": flop * pairs // rectangle, "seen": seen,
        })  # fmt: skip


def absorbed_attention(module, query, latent, rotary, attention_mask, scaling, **_):
    """Latent attention on the latents: queries go through W_UK, results through W_UV, of the model's own kv_b_proj."""
    batch, heads, new, _ = query.shape
    nope, rank = module.qk_nope_head_dim, latent.shape[-1]
    up = module.kv_b_proj.weight.view(heads, -1, rank)
    of_latent, of_rotary = query.split([nope, query.shape[-1] - nope], dim=-1)
    by_head = of_latent.transpose(0, 1).reshape(heads, batch * new, nope)
    of_latent = torch.bmm(by_head, up[:, :nope]).view(heads, batch, new, rank).transpose(0, 1)
    latent, rotary = latent[:, 0], rotary[:, 0]
    scores = torch.bmm(of_latent.reshape(batch, heads * new, rank), latent.transpose(1, 2))
    scores = scores + torch.bmm(of_rotary.reshape(batch, heads * new, -1), rotary.transpose(1, 2))
    scores = scores.view(batch, heads, new, -1) * scaling + attention_mask
    weights = scores.softmax(dim=-1)
    mixed = torch.bmm(weights.view(batch, heads * new, -1), latent)
    by_head = mixed.view(batch, heads, new, rank).transpose(0, 1).reshape(heads, batch * new, rank)
    values = torch.bmm(by_head, up[:, nope:].transpose(1, 2)).view(heads, batch, new, -1)
    return values.permute(1, 2, 0, 3).contiguous(), weights


def latents_as_they_are(latent, rotary):
    """In place of the framework's expansion."""
    return latent, rotary


@contextmanager
def absorbed(model):
    modules = [module for module in model.modules() if hasattr(module, "expand_kv")]
    for module in modules:
        module.expand_kv = latents_as_they_are
    try:
        yield
    finally:
        for module in modules:
            del module.expand_kv


def tensors(held):
    """The tensors that a cache's layer holds, with the names of the fields that hold them."""
    for name, value in vars(held).items():
        values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
        yield from ((name, one) for one in values if isinstance(one, torch.Tensor) and one.dim() > 1)


def stored(cache):
    """Numbers of every layer of a cache: of tokens, of an index over them, and of states."""
    rows = []
    for layer in cache.layers:
        row = {"tokens": 0, "index": 0, "states": 0}
        for name, tensor in tensors(layer):
            kind = "index" if "index" in name else "states" if "states" in name else "tokens"
            row[kind] += tensor.numel()
        rows.append(row)
    return rows


def cache_rows(before, after, written, attention):
    """What every layer's cache held, was given, and was asked for."""
    seen = {int(re.search(r"\.(\d+)\.", row["path"])[1]): row["seen"] for row in attention}
    rows = []
    for layer, now in enumerate(after):
        was = before[layer] if layer < len(before) else dict.fromkeys(now, 0)
        numbers, tokens = written.get(layer, (0, 1))
        rows.append({
            "layer": layer, "before": was["tokens"], "after": now["tokens"], "written": numbers,
            "read": seen.get(layer, 0) * numbers // tokens, "index_before": was["index"],
            "index_after": now["index"], "states": now["states"],
        })  # fmt: skip
    return rows


@contextmanager
def writes(cache):
    """While this lasts, the numbers given to every layer's cache, and the tokens that they are of."""
    update, written = cache.update, {}

    def noted(keys, values, layer, *args, **kwargs):
        written[layer] = (keys.numel() + values.numel(), keys.shape[0] * keys.shape[-2])
        return update(keys, values, layer, *args, **kwargs)

    cache.update = noted
    yield written
    del cache.update


def built(config, seed):
    """The model of a config, all its matrices drawn anew: some classes start them at zero."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, set_seed

    set_seed(seed)
    known = CONFIG_MAPPING[config["model_type"]].from_dict(copy.deepcopy(config))
    known._experts_implementation = "eager"
    model = AutoModelForCausalLM.from_config(known, dtype=torch.float32, attn_implementation="eager").eval()
    for _, parameter in sorted(model.named_parameters()):
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def forward(model, tokens, cache, logits=0):
    return model(input_ids=tokens, use_cache=True, logits_to_keep=logits, **cache)


def started(model, tokens):
    """A cache that holds the context, under the name by which the model takes it."""
    from transformers import DynamicCache

    field = "cache_params" if model.config.model_type == "mamba2" else "past_key_values"
    cache = {field: DynamicCache(config=model.config)}
    if tokens.shape[1]:
        forward(model, tokens, cache)
    return cache


def count(model, attention, tokens, context, logits):
    """Run one pass under the count; what was counted, and the logits."""
    given = started(model, tokens[:, :context])
    (cache,) = given.values()
    counter, before = Counter(model), stored(cache)
    attention.counter, attention.rows = counter, []
    with told(model, counter), writes(cache) as written, counter:
        output = forward(model, tokens[:, context:], given, logits).logits
    attention.counter = None
    return {
        "vector_numbers": sum(counter.vectors.values()), "modules": counter.modules(), "attention": attention.rows,
        "cache": cache_rows(before, stored(cache), written, attention.rows), "experts": counter.experts(model),
    }, output  # fmt: skip


def params(model):
    """All parameters, tied ones once; and those of matrices that are looked up alone."""
    shapes = {name: p.numel() for name, p in model.named_parameters()}
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    lookup = sum(n for name, n in shapes.items() if kind_of(name.removesuffix(".weight")) == "lookup")
    return sum(shapes.values()), lookup - tied * model.get_input_embeddings().weight.numel()


def agree(name, one, other):
    apart = float((one - other).abs().max() / other.abs().max())
    if not apart < 1e-4:
        raise ArithmeticError(f"{name}: logits differ by {apart:.1e} of the largest")


def rows_of(name, config, attention, seed):
    model = built(config, seed)
    total, lookup = params(model)
    latent = any(hasattr(module, "expand_kv") for module in model.modules())
    for batch, context, new, logits in PASSES:
        tokens = torch.randint(3, 200, (batch, context + new))
        whole = forward(model, tokens, started(model, tokens[:, :0])).logits[:, context:][:, -logits:]
        head = {"name": name, "config": config, "pass": {
            "batch": batch, "context": context, "pass_tokens": new, "logit_tokens": logits or new}}  # fmt: skip
        counted, output = count(model, attention, tokens, context, logits)
        agree(f"{name} {head['pass']}", output, whole)
        yield {**head, "form": "expanded" if latent else "plain", "params": total, "lookup_params": lookup, **counted}
        if latent:
            with absorbed(model):
                counted, output = count(model, attention, tokens, context, logits)
            agree(f"{name} {head['pass']} absorbed", output, whole)
            yield {**head, "form": "absorbed", "params": total, "lookup_params": lookup, **counted}


def write(path, rows):
    lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    with open(path, "wb") as file, gzip.GzipFile("", mode="wb", fileobj=file, mtime=0, compresslevel=9) as packed:
        packed.write(lines.encode())
    print(f"{path}: {len(rows)} rows, {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the file")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="these alone")
    parser.add_argument("--seed", type=int, default=0, help="of weights and tokens")
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"], os.environ["TRANSFORMERS_VERBOSITY"] = "1", "error"
    warnings.filterwarnings("ignore")
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    torch.set_num_threads(1)
    attention = Attention()
    ALL_ATTENTION_FUNCTIONS.register("eager", attention)
    rows = []
    with torch.no_grad():
        for name in asked.models:
            rows += rows_of(name, MODELS[name], attention, asked.seed)
    asked.out.mkdir(parents=True, exist_ok=True)
    write(asked.out / "counted_work.jsonl.gz", rows)


if __name__ == "__main__":
    main()
