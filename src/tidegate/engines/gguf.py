"""Reads what a GGUF file says about itself; it never reads the weights and never trusts a number in the file.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian). All
counts and lengths are bounded, so that a hostile file costs neither memory nor more than a second or two.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from tidegate.errors import ConfigError

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_KEYS: Final = 10_000
_TENSORS: Final = 200_000
_STRINGS: Final = 2_000_000  # the largest vocabularies have 262,144 tokens and about twice as many merges
_KEPT_TEXT: Final = 1024  # bytes; longer texts (templates, licences) are passed over
_KEPT_ITEMS: Final = 4096  # numbers given layer by layer
_NAME: Final = 4096  # bytes

_STRING, _ARRAY = 8, 9
_SCALARS: Final = {
    kind: struct.Struct(form)
    for kind, form in {
        0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
    }.items()
}  # fmt: skip
_U32: Final = _SCALARS[4]
_U64: Final = _SCALARS[10]

# llama_ftype in https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h
_QUANTIZATIONS: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0",
}  # fmt: skip

# ggml_type in https://github.com/ggml-org/ggml/blob/master/include/ggml.h: weights of a block, and its bytes
_BLOCKS: Final = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136), 30: (1, 2),
    39: (32, 17),
}  # fmt: skip
_SMALLEST_BLOCK: Final = (8, 1)  # of a type that is not known here: at least a bit for a weight

_Value = str | int | float | bool


class InvalidGguf(ConfigError):
    """The file that was given as a model is none; the message is a sentence that names the file."""


_LOADED_CONTEXT: Final = 8192
"""Models are trained for far more than most machines have memory for."""


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What one model file says about itself. Sizes are in bytes, lengths in tokens."""

    path: Path
    size: int
    architecture: str
    name: str | None
    quantization: str | None
    context_length: int | None
    chat_template: bool
    parameters: int
    active_parameters: int
    layers: int
    attention_width: int
    cache_width: int
    longest_token: int
    """Bytes of text that one token stands for at most, 0 where the vocabulary is not in the file."""
    pooling: int | None = None
    """How a text's vector is made of its tokens', by llama.cpp's numbers (0: not at all), if it says."""

    @property
    def loaded_context(self) -> int:
        """Tokens of context that it is loaded with where nobody says how many."""
        return min(self.context_length or _LOADED_CONTEXT, _LOADED_CONTEXT)

    def cache_bytes(self, context: int) -> int:
        """The size of a key-value cache of ``context`` tokens with 16-bit values, windows not considered."""
        return 2 * self.layers * self.cache_width * context

    def prompt_operations(self, context: int) -> int:
        """Floating point operations that one prompt token costs when ``context`` tokens precede it."""
        return 2 * self.active_parameters + 4 * self.layers * self.attention_width * context


def read_gguf(path: str | os.PathLike[str]) -> GgufFile:
    """Read the header of the model at ``path`` (blocking). Raises InvalidGguf with one clear sentence."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InvalidGguf(f"{path} is a folder: name the .gguf file inside it")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
            raise InvalidGguf(f"{path} is not a regular file: name a .gguf file")
        with path.open("rb", buffering=1 << 16) as file:
            return _Header(file, path).read()
    except FileNotFoundError:
        raise InvalidGguf(f"{path} does not exist: check the path of this model") from None
    except OSError as error:
        raise InvalidGguf(f"{path} cannot be read: {error.strerror or error}") from None


class _Header:
    """One pass over a file's header."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = os.fstat(file.fileno()).st_size
        self._strings_left = _STRINGS
        self._values: dict[str, _Value] = {}
        self._keys: set[str] = set()
        self._longest_token = 0

    def read(self) -> GgufFile:
        self._check_magic()
        tensors = self._bounded(self._number(_U64), _TENSORS, "tensors")
        for _ in range(self._bounded(self._number(_U64), _KEYS, "keys")):
            self._read_pair()
        architecture = self._text("general.architecture")
        if architecture is None:
            raise self._invalid("names no architecture, so llama.cpp cannot load it")
        if architecture == "clip":
            raise self._invalid("is the image part (mmproj) of a model: name the language model's own file")
        if self._integer("split.no"):
            raise self._invalid("is a later part of a split model: name the part that ends in -00001-of-…")
        return self._facts(architecture, *self._count_parameters(tensors, architecture))

    def _facts(self, architecture: str, parameters: int, active: int) -> GgufFile:
        size = self._whole_size()
        file_type = self._integer("general.file_type")
        parts = size / max(self._size, 1)  # tensors of a split model's other parts are estimated by size
        heads = self._integer(f"{architecture}.attention.head_count") or 1
        cached_heads = self._integer(f"{architecture}.attention.head_count_kv") or heads
        head = (self._integer(f"{architecture}.embedding_length") or 0) // heads
        key = self._integer(f"{architecture}.attention.key_length") or head
        value = self._integer(f"{architecture}.attention.value_length") or head
        return GgufFile(
            path=self._path,
            size=size,
            architecture=architecture,
            name=self._text("general.name"),
            quantization=_QUANTIZATIONS.get(file_type) if file_type is not None else None,
            context_length=self._integer(f"{architecture}.context_length"),
            chat_template="tokenizer.chat_template" in self._keys,
            parameters=int(parameters * parts),
            active_parameters=int(active * parts),
            layers=self._integer(f"{architecture}.block_count") or 0,
            attention_width=heads * max(key, value),
            cache_width=cached_heads * (key + value),
            longest_token=self._longest_token,
            pooling=self._integer(f"{architecture}.pooling_type"),
        )

    def _whole_size(self) -> int:
        """The size of all parts of a split model (x-00001-of-00003.gguf); missing ones count as nothing."""
        match = re.fullmatch(r"(.*)-00001-of-(\d{5})\.gguf", self._path.name)
        if match is None:
            return self._size
        stem, count = match[1], match[2]
        rest = (
            self._path.with_name(f"{stem}-{part:05}-of-{count}.gguf") for part in range(2, int(count) + 1)
        )
        return self._size + sum(part.stat().st_size for part in rest if part.is_file())

    def _count_parameters(self, tensors: int, architecture: str) -> tuple[int, int]:
        """Count all weights, and those that a prompt token is multiplied with.

        Embeddings are looked up and the output matrix serves the last token alone; of a mixture of experts
        only the share that is used at a time counts.
        """
        experts = self._integer(f"{architecture}.expert_count") or 1
        used = self._integer(f"{architecture}.expert_used_count") or experts
        total = active = end = 0
        for _ in range(tensors):
            name = self._string(_NAME)
            shape = [self._number(_U64) for _ in range(self._bounded(self._number(_U32), 8, "dimensions"))]
            block, size = _BLOCKS.get(self._number(_U32), _SMALLEST_BLOCK)
            offset = self._number(_U64)
            weights = 1
            for length in shape:
                weights *= length
            if weights > 1 << 50:
                raise self._invalid(f"claims an impossible size for tensor {name!r}")
            end = max(end, offset + weights // block * size)
            total += weights
            if name not in {"output.weight", "token_embd.weight", "per_layer_token_embd.weight"}:
                active += weights * used // experts if "_exps." in name else weights
        missing = self._file.tell() + end - self._size
        if missing > 0:
            raise self._invalid(f"is incomplete, about {missing:,} bytes are missing: download it again")
        return total, active

    def _check_magic(self) -> None:
        magic = self._file.read(4)
        if magic != _MAGIC:
            raise self._invalid(f"is not a GGUF file{_guess(magic, self._size)}")
        version = self._number(_U32)
        if version & 0xFFFF == 0:
            raise self._invalid("is a big-endian GGUF file: convert it to little-endian")
        if version not in _VERSIONS:
            raise self._invalid(f"is GGUF version {version}, and llama.cpp reads 2 and 3: convert it again")

    def _read_pair(self) -> None:
        key = self._string(_NAME)
        self._keys.add(key)
        kind = self._number(_U32)
        if kind == _ARRAY:
            value = self._array(key)
        elif kind == _STRING:
            value = self._short_string()
        else:
            value = self._scalar(kind)
        if value is not None:
            self._values[key] = value

    def _array(self, key: str) -> _Value | None:
        """Pass over an array; of a short one of numbers, keep the largest."""
        kind = self._number(_U32)
        count = self._number(_U64)
        if kind == _STRING:
            self._strings_left -= self._bounded(count, self._strings_left, "texts")
            longest = self._pass_over_strings(count)
            if key == "tokenizer.ggml.tokens":
                self._longest_token = longest
            return None
        if kind not in _SCALARS:
            raise self._invalid(f"holds an array of unknown type {kind}")
        if count > _KEPT_ITEMS:
            self._skip(self._bounded(count, self._size, "numbers") * _SCALARS[kind].size)
            return None
        return max((self._scalar(kind) for _ in range(count)), default=None)

    def _pass_over_strings(self, count: int) -> int:
        """Return the length of the longest. This is most of the work on a real file."""
        read, unpack = self._file.read, _U64.unpack
        longest = 0
        for _ in range(count):
            prefix = read(8)
            if len(prefix) < 8:
                raise self._cut_short()
            length: int = unpack(prefix)[0]
            longest = max(longest, length)
            if length > _KEPT_TEXT:
                self._skip(length)
            elif len(read(length)) < length:
                raise self._cut_short()
        return longest

    def _scalar(self, kind: int) -> int | float | bool:
        form = _SCALARS.get(kind)
        if form is None:
            raise self._invalid(f"holds a value of unknown type {kind}")
        value: int | float | bool = form.unpack(self._take(form.size))[0]
        return value

    def _short_string(self) -> str | None:
        length = self._number(_U64)
        if length > _KEPT_TEXT:
            self._skip(length)
            return None
        return self._take(length).decode("utf-8", "replace")

    def _string(self, limit: int) -> str:
        length = self._bounded(self._number(_U64), limit, "bytes in a name")
        return self._take(length).decode("utf-8", "replace")

    def _number(self, form: struct.Struct) -> int:
        number: int = form.unpack(self._take(form.size))[0]
        return number

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise self._cut_short()
        return data

    def _skip(self, count: int) -> None:
        # Short texts are read: moving a buffered file is slower than reading a few bytes from its buffer.
        if count <= _KEPT_TEXT:
            self._take(count)
        elif count > self._size - self._file.tell():
            raise self._cut_short()
        else:
            self._file.seek(count, os.SEEK_CUR)

    def _text(self, key: str) -> str | None:
        value = self._values.get(key)
        return value if isinstance(value, str) and value else None

    def _integer(self, key: str) -> int | None:
        """A number that is plausible as a size: anything else counts as absent."""
        value = self._values.get(key)
        return value if isinstance(value, int) and 0 <= value < 1 << 32 else None

    def _bounded(self, count: int, limit: int, what: str) -> int:
        if count > limit:
            raise self._invalid(f"claims {count} {what}, more than any model has: it is damaged")
        return count

    def _cut_short(self) -> InvalidGguf:
        return self._invalid("ends in the middle of its header: download it again")

    def _invalid(self, what: str) -> InvalidGguf:
        return InvalidGguf(f"{self._path} {what}")


def _guess(magic: bytes, size: int) -> str:
    """What the file probably is instead, as the rest of a sentence."""
    if size == 0:
        return ": it is empty, so download it again"
    if magic == b"vers":
        return ": it is a Git LFS pointer, so run `git lfs pull` in its folder"
    if magic.lstrip().startswith(b"<"):
        return ": it is a web page, probably an error page that was saved in its place"
    if magic in {b"lmgg", b"fmgg", b"tjgg", b"algg"}:
        return " but one of the older GGML formats: convert it to GGUF"
    if magic == b"PK\x03\x04":
        return " but a ZIP archive or a PyTorch checkpoint: convert it to GGUF"
    return ": it does not begin with the letters GGUF"
