"""The fields of a config, checked as they are read, and what had to be assumed where they are silent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from headway.catalog.store import harmless_fields
from headway.errors import BadInput, shown

MOST_LAYERS = 10_000
LARGEST = 10**8  # larger than any width, depth or vocabulary; keeps the counts finite

# What a field is called that says something of shape.
_STRUCTURAL = re.compile(
    "hidden|size|dim|rank|head|layer|expert|moe|attn|attention|mlp|ffn|ssm|mamba|conv|state|window|lora|latent|kv|index"
    "|stride|width|depth|embed|mixer|group|repeat|loop|recur|cycle|block",
    re.IGNORECASE,
)

# What says how a model was trained, is sampled or scales its numbers.
_TRIVIAL = re.compile(
    "token|dropout|drop$|pdrop|init|(^|_)eps(_|$)|epsilon|rope|rotary|theta|position|_act$|activation|dtype|version|architectures|auto_map"
    "|_name|label|^output_|return_dict|use_cache|softcap|scal(e|ing)|logit|loss|jitter|scoring|topk_method|renorm|norm_topk"
    "|pretraining|flash|fused|gradient|checkpointing|config_class|license|model_type|quantization|seed|clip|beta|alpha"
    "|temperature|top_[pk]$|beam|penalty|min_length|max_length|do_sample|prefix|suffix|bad_words|tokenizer|torchscript|tie_",
    re.IGNORECASE,
)
# Of an unknown family, what changes the cache or what a layer is: not to be passed over.
CHANGES_CACHE = re.compile(
    r"(^|_)kv(_|$)|cache|ssm|mamba|per_layer|(^|_)state(s|_|$)|global|(^|_)local|window|(^|_)share|recurren|memory_layer",
    re.I,
)

# Sizes that configs nearly always state: where one is silent, the answer says what the family's code would take.
_SIZES = {
    "num_experts_per_tok", "n_routed_experts", "num_experts", "num_local_experts", "moe_intermediate_size",
    "kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "num_key_value_heads",
    "head_dim", "index_topk", "index_n_heads", "index_head_dim", "sliding_window", "ssm_state_size",
    "mamba_num_heads", "linear_num_value_heads", "num_attention_heads", "num_hidden_layers", "hidden_size",
    "intermediate_size", "vocab_size",
}  # fmt: skip

# Words of families.toml that no config may say.
_WORDS = {"pattern_start", "pattern", "pattern_end", "sliding_layers", "ignored", "refused", "tied_by", "known_family"}


def whole_number(text: str) -> int | None:
    """A whole number written in digits, none where there is another sign or more digits than any count has.

    >>> whole_number(" 61"), whole_number("²"), whole_number("9" * 5000)
    (61, None, None)
    """
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


class Fields:
    """The fields of a config by name or synonym, each checked; where absent, what the family implies.

    `assumed` collects, for the reader of the result, what neither the config nor its family says.
    """

    def __init__(self, config: Mapping[str, Any], name: str, implied: Mapping[str, Any] | None = None) -> None:
        self.name, self.assumed = name, list[str]()
        self._implied = dict(implied or {})
        unseen = _WORDS | set(self._implied.get("ignored", ()))  # what the family's code does not look at
        self._config = {key: value for key, value in config.items() if key not in unseen}
        self._read = set[str]()
        self.defaulted: dict[str, int] = {}  # sizes that the family's code has where the config is silent

    def _find(self, keys: Iterable[str]) -> tuple[str, Any]:
        """The first of the fields that says something.

        What the family implies stands for a field that is absent, not for one that is null: null means none.
        """
        names = tuple(keys)
        self._read.update(names)
        stated = [key for key in names if key in self._config]
        source = self._config if stated else self._implied
        for key in stated or names:
            if source.get(key) is not None:
                return key, source[key]
        return (stated or names)[0], None

    @property
    def looked_at(self) -> set[str]:
        """The names of fields that were asked for."""
        return self._read - _WORDS

    @property
    def known(self) -> bool:
        """Whether the family is one of the catalog's."""
        return bool(self._implied.get("known_family"))

    def states(self, key: str) -> bool:
        """Whether the config itself has the field, be it null."""
        self._read.add(key)
        return key in self._config

    def __contains__(self, key: str) -> bool:
        return self._find([key])[1] is not None

    def has(self, *keys: str) -> bool:
        """Whether any of the fields is there, or implied."""
        return self._find(keys)[1] is not None

    def raw(self, *keys: str) -> Any:
        """A field as it stands."""
        return self._find(keys)[1]

    def wrong(self, key: str, expected: str, found: Any) -> BadInput:
        """The refusal of a field."""
        return BadInput(f"{self.name}: {key} must be {expected}, found {shown(found)}")

    def count(self, *keys: str, default: int | None = None, least: int = 1, most: int = LARGEST) -> int:
        """A whole number."""
        key, value = self._find(keys)
        if value is None and default is not None:
            return default
        if value is None:
            raise BadInput(f"{self.name}: the field {key} is missing")
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if type(whole) is not int or not least <= whole <= most:
            raise self.wrong(key, f"a whole number from {least} to {most:,}", value)
        if key in _SIZES and key not in self._config:
            self.defaulted[key] = whole
        return whole

    def text(self, *keys: str, default: str | None = None) -> str:
        """A string."""
        key, value = self._find(keys)
        value = default if value is None else value
        if not isinstance(value, str):
            raise BadInput(f"{self.name}: the field {key} must be a string, found {shown(value)}")
        return value

    def flag(self, *keys: str, default: bool = False) -> bool:
        """True or false."""
        key, value = self._find(keys)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false", value)
        return value

    def table(self, *keys: str) -> dict[str, Any]:
        """An object, empty if absent."""
        key, value = self._find(keys)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(key, "an object", value)
        return value or {}

    def numbers(self, *keys: str) -> list[int]:
        """A list of whole numbers, empty if absent."""
        key, value = self._find(keys)
        if value is not None and not (isinstance(value, list) and all(type(v) is int for v in value)):
            raise self.wrong(key, "a list of whole numbers", value)
        return value or []

    def per_layer(self, depth: int, *keys: str) -> list[Any] | None:
        """A list with one entry for each layer, or None; entries past the last layer are of prediction modules."""
        key, value = self._find(keys)
        if not isinstance(value, list):
            return None
        if len(value) < depth:
            raise BadInput(f"{self.name}: {key} has {len(value)} entries for {depth} layers")
        return value[:depth]

    def counts(self, depth: int, *keys: str, default: int | None = None, least: int = 0) -> list[int]:
        """A whole number for each layer, given once or as a list."""
        key, value = self._find(keys)
        if isinstance(value, list):
            listed = self.per_layer(depth, *keys) or []
            if not all(type(v) is int and least <= v <= LARGEST for v in listed):
                raise self.wrong(key, f"whole numbers from {least} to {LARGEST:,}", value)
            return listed
        return [self.count(*keys, default=default, least=least)] * depth

    def assume(self, sentence: str) -> None:
        """Tell the reader of the result what was taken for granted."""
        if sentence not in self.assumed:
            self.assumed.append(sentence)

    def unread(self) -> Iterator[str]:
        """Fields that hold something, were not looked at, and may say something of shape.

        Of a known family those that sound like it; of an unknown one all but those that every config has.
        """
        known = self.known
        for key, value in self._config.items():
            if key in self._read or not isinstance(key, str) or value is None or value is False:
                continue
            if value in (0, "", [], {}) or key in harmless_fields() or _TRIVIAL.search(key):
                continue
            if not known or (_STRUCTURAL.search(key) and value is not True and value != 1):
                yield key
