"""The names that checkpoints have for their modules, taken for the parts of a model that they belong to."""

from __future__ import annotations

import fnmatch
import functools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from headway.errors import BadInput, shown
from headway.model.fields import whole_number

PARTS_QUANTISED = ("attention", "dense_mlp", "routed_experts", "shared_experts")
# One word of a module's name tells its part; the first that is found does.
_WORDS = (
    (re.compile(r"vision|visual|audio|speech|mm_proj|multi_modal|multimodal|merger|^mtp|\.mtp|nextn|eagle"), ""),
    (re.compile(r"norm|bias$|conv1d|A_log|index|shared_expert_gate|eh_proj"), ""),  # small, or no matrix
    (re.compile(r"shared_?(expert|mlp)"), "shared_experts"),
    (re.compile(r"(^|\.)(gate|router|classifier)(\.wg|\.weight)?$|(^|\.)router(\.|$)"), "router"),
    (re.compile(r"experts"), "routed_experts"),
    (re.compile(r"attn|attention|mamba|mixer\.(in|out)_proj|temporal_block|short_conv|\bconv\b"), "attention"),
    (re.compile(r"mlp|ffn|feed_forward|block_sparse_moe|mixer\.(up|down)_proj|(gate|up|down)_proj"), "dense_mlp"),
    (re.compile(r"lm_head|(^|\.)head$|output_layer"), "lm_head"),
    (re.compile(r"embed|wte"), "embedding"),
)
# Modules of a layer by part, as they are commonly called, to hold a pattern against.
_COMMON = {
    "attention": ("self_attn.q_proj", "self_attn.o_proj", "self_attn.q_a_proj", "attn.wq_b", "linear_attn.in_proj_qkv",
                  "linear_attn.out_proj", "mixer.in_proj", "attention.o_proj"),
    "dense_mlp": ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "mixer.up_proj", "feed_forward.gate_proj"),
    "routed_experts": ("mlp.experts.0.gate_proj", "mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w1",
                       "mlp.experts.gate_up_proj", "ffn.experts.0.w1", "ffn.experts.0.gate_proj",
                       "mixer.experts.0.up_proj"),
    "shared_experts": ("mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj", "mlp.shared_mlp.gate_proj",
                       "ffn.shared_experts.w1", "ffn.shared_experts.gate_proj", "mixer.shared_experts.up_proj"),
}  # fmt: skip
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)(?:\.|$)")
_WHOLE = re.compile(r"(^|\.)(mlp|ffn|feed_forward|block_sparse_moe|moe)$")  # with whatever is inside
_LONGEST = 300
_MOST_PATTERNS = 500
# An expression may hold characters, classes, groups of alternatives, and few repetitions of single characters: how
# often a search may go back then follows from how many there are. `re` has no other limit, and gets nothing else.
_PLAIN = re.compile(r"(?:[\w\-/,:#@% ]|\\[.dDwWsSbB/_-]|\.|\[\^?(?:[\w. -]|\\[.dws-])+\]|[*+?|()^$])*", re.ASCII)
_REPEATED = re.compile(r"(?<!\\)[*+?]\??")
_REPEATED_GROUP = re.compile(r"\)[*+?]")
_STEPS = {0: 1, 1: 1, 2: 10, 3: 150}  # of a search, about, in microseconds, by the number of repetitions
_MOST_STEPS = 1_000_000
_MOST_WAYS = 200


def part_of(module: str) -> str:
    """The part that a module belongs to; empty for towers, norms, and what has no name that says so.

    >>> part_of("model.layers.3.mlp.experts.0.up_proj"), part_of("model.layers.3.mlp.gate"), part_of("self_attn")
    ('routed_experts', 'router', 'attention')
    """
    return next((part for word, part in _WORDS if word.search(module)), "")


_DIGIT = re.compile(r"\d|\[|\\d")  # without any, a pattern is the same for every layer


@dataclass(frozen=True)
class Pattern:
    """A pattern of module names, and how long a search for it may take, about, in microseconds."""

    compiled: re.Pattern[str]
    steps: int

    @functools.cached_property
    def of_layers(self) -> bool:
        """Whether it may tell one layer from another."""
        return bool(_DIGIT.search(self.compiled.pattern))


@dataclass(frozen=True)
class Selection:
    """Modules that a config names: parts of single layers (or of all, as None), and patterns for the rest."""

    parts: frozenset[tuple[str, int | None]] = frozenset()
    patterns: tuple[Pattern, ...] = field(default=())

    @classmethod
    def of(cls, part: str) -> Selection:
        """A part in every layer."""
        return cls(frozenset({(part, None)}))

    @classmethod
    def read(cls, names: Iterable[str], model: str) -> Selection:
        """Modules by name, glob, prefix or `re:` expression; an impossible expression is a `BadInput`."""
        parts, patterns = set[tuple[str, int | None]](), dict[Pattern, None]()
        for name in names:
            plain = name.rstrip("*").rstrip(".")
            if name.startswith("re:") or "*" in plain:
                patterns[_pattern(name, model)] = None
                continue
            found = _LAYER.search(plain)
            layer = whole_number(found[1]) if found else None
            if found and found.end() == len(plain):  # the layer as a whole
                parts |= {(part, layer) for part in PARTS_QUANTISED}
            parts.add((part_of(plain), layer))
            if _WHOLE.search(plain):
                parts.add(("inside", layer))
        if len(patterns) > _MOST_PATTERNS:
            raise BadInput(f"{model}: quantization_config names modules by {len(patterns):,} patterns, more than "
                           f"{_MOST_PATTERNS}")  # fmt: skip
        return cls(frozenset(parts), tuple(patterns))

    def check(self, layers: int, model: str) -> None:
        """Refuse patterns that would have to be held against too many layers."""
        modules = sum(map(len, _COMMON.values()))
        steps = sum(pattern.steps * (layers if pattern.of_layers else 1) for pattern in self.patterns) * modules
        if steps > _MOST_STEPS:
            raise BadInput(f"{model}: quantization_config names modules of {layers:,} layers by {len(self.patterns):,} "
                           "patterns, which take too long to read")  # fmt: skip

    def has(self, part: str, layer: int | None, beside: Iterable[str] = ()) -> bool:
        """Whether a part of a layer is among them; experts are inside the `mlp` where no dense block stands beside."""
        names = {part, "inside"} if part.endswith("experts") and "dense_mlp" not in beside else {part}
        if any((name, place) in self.parts for name in names for place in (None, layer)):
            return True
        return any(_found(pattern, part, layer if pattern.of_layers else 0) for pattern in self.patterns)


@functools.lru_cache(maxsize=100_000)
def _found(pattern: Pattern, part: str, layer: int | None) -> bool:
    """Whether a pattern names a module of a part, in a layer."""
    modules = [f"model.layers.{layer}.{module}" for module in _COMMON.get(part, ())] or [part]
    return any(pattern.compiled.search(module) for module in modules)


def _pattern(name: str, model: str) -> Pattern:
    """A glob or a `re:` expression of module names; `BadInput` for one that cannot be read, or not in time."""
    if len(name) > _LONGEST:
        raise BadInput(f"{model}: quantization_config names modules by a pattern of {len(name)} characters")
    if name.startswith("re:"):
        text, steps = f"^(?:{name[3:]})", _steps(name[3:], model)
    else:  # wrappers put a name before that of the text model
        inner = re.sub(r"^(model\.)?(language_model\.)?(model\.|backbone\.)?(?=layers\.)", "model.", name)
        text, steps = f"^(?:{fnmatch.translate(inner)}|{fnmatch.translate(f'{inner}.*')})", 2
    try:
        return Pattern(re.compile(text), steps)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadInput(f"{model}: quantization_config names modules by an impossible pattern: {error}") from None


def _steps(expression: str, model: str) -> int:
    """How long a search for an expression may take, about, in microseconds."""
    text = re.sub(r"(?<!\\)\(\?:", "(", expression).removesuffix(".*")
    if not _PLAIN.fullmatch(text):
        raise BadInput(f"{model}: quantization_config names modules by an expression that is not read: "
                       f"{shown(expression)}")  # fmt: skip
    repetitions = len(_REPEATED.findall(text))
    ways = _ways(text)
    if _REPEATED_GROUP.search(text) or repetitions not in _STEPS or ways > _MOST_WAYS:
        raise BadInput(f"{model}: quantization_config names modules by a pattern that repeats too much to be read")
    return _STEPS[repetitions] * ways


def _ways(text: str) -> int:
    """In how many ways the alternatives of an expression combine: those of a group add, groups multiply."""
    ways, branches = 1, [1]
    for character in text:
        if character == "(":
            branches.append(1)
        elif character == "|":
            branches[-1] += 1
        elif character == ")" and len(branches) > 1:
            ways *= branches.pop()
    return ways * math.prod(branches)
