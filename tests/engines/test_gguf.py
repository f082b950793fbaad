"""Reading GGUF headers: facts of a real file, a sentence for every bad one, bounds against hostile ones."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.conftest import MakeModel
from tests.properties import examples
from tidegate.engines import InvalidGguf, read_gguf
from tidegate.engines.gguf import _BLOCKS

U32, U64, STRING, ARRAY = 4, 10, 8, 9


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def header(*pairs: bytes, tensors: int = 0, version: int = 3, count: int | None = None) -> bytes:
    keys = len(pairs) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(pairs)


LLAMA = pair("general.architecture", STRING, text("llama"))


def sentence(path: Path) -> str:
    with pytest.raises(InvalidGguf) as error:
        read_gguf(path)
    assert str(path) in str(error.value)
    return str(error.value).removeprefix(f"{path} ")


def test_facts_of_a_real_file(tiny_gguf: MakeModel) -> None:
    path = tiny_gguf(script="Good morning to everybody.", dim=128, layers=3, context=1000)
    file = read_gguf(path)
    assert (file.name, file.architecture, file.quantization) == ("tiny-llama", "llama", "F32")
    assert (file.context_length, file.layers, file.chat_template) == (1000, 3, True)
    assert file.size == path.stat().st_size
    assert 4 * file.parameters < file.size < 5 * file.parameters
    assert file.active_parameters < file.parameters
    assert (
        file.cache_bytes(10) == 10 * 3 * 2 * 64 * 2
    )  # tokens, layers, keys and values, 2 heads of 32, bytes
    assert file.prompt_operations(100) > file.prompt_operations(0) == 2 * file.active_parameters
    assert file.longest_token >= len("<|endoftext|>")


def test_mixture_of_experts_counts_what_is_used(tmp_path: Path) -> None:
    path = tmp_path / "moe.gguf"
    tensor = text("blk.0.ffn_up_exps.weight") + struct.pack("<I3QIQ", 3, 10, 10, 8, 0, 0)
    counts = [pair("llama.expert_count", U32, struct.pack("<I", 8))]
    counts.append(pair("llama.expert_used_count", U32, struct.pack("<I", 2)))
    path.write_bytes(header(LLAMA, *counts, tensors=1) + tensor + bytes(3200))
    file = read_gguf(path)
    assert (file.parameters, file.active_parameters) == (800, 200)


def test_sizes_of_a_split_model_are_added_up(tmp_path: Path) -> None:
    first = tmp_path / "m-00001-of-00002.gguf"
    first.write_bytes(header(LLAMA))
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(b"x" * 1000)
    assert read_gguf(first).size == first.stat().st_size + 1000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a GGUF file: it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "it is a web page"),
        (b"tjgg\x01\x00\x00\x00", "older GGML formats"),
        (b"PK\x03\x04....", "ZIP archive or a PyTorch checkpoint"),
        (b"hello world", "does not begin with the letters GGUF"),
        (b"GGUF", "ends in the middle of its header"),
        (header(LLAMA, version=1), "is GGUF version 1, and llama.cpp reads 2 and 3"),
        (b"GGUF\x00\x00\x00\x03" + bytes(16), "big-endian"),
        (header(), "names no architecture"),
        (header(pair("general.architecture", STRING, text("clip"))), "mmproj"),
        (header(LLAMA, pair("split.no", U32, struct.pack("<I", 1))), "later part of a split model"),
        (header(count=1 << 60), "claims 1152921504606846976 keys"),
        (header(tensors=1 << 40), "tensors, more than any model has"),
        (header(LLAMA, count=2), "ends in the middle of its header"),
        (header(text(b"k" * 5000) + bytes(12)), "bytes in a name"),
        (header(pair("k", 99, b"")), "unknown type 99"),
        (header(pair("k", STRING, struct.pack("<Q", 1 << 62))), "ends in the middle"),
        (header(pair("k", ARRAY, struct.pack("<IQ", STRING, 1 << 60))), "texts, more than any model has"),
        (header(pair("k", ARRAY, struct.pack("<IQ", U64, 1 << 60))), "numbers, more than any model has"),
        (header(pair("k", ARRAY, struct.pack("<IQ", ARRAY, 1))), "array of unknown type 9"),
        (header(LLAMA, tensors=1) + text("t") + struct.pack("<I", 9), "dimensions"),
        (
            header(LLAMA, tensors=1) + text("t") + struct.pack("<I2QIQ", 2, 1 << 60, 9, 0, 0),
            "impossible size",
        ),
    ],
)
def test_every_bad_file_has_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert words in sentence(path)


def test_paths_that_lead_to_no_file(tmp_path: Path) -> None:
    assert sentence(tmp_path / "none.gguf") == "does not exist: check the path of this model"
    assert sentence(tmp_path) == "is a folder: name the .gguf file inside it"
    os.mkfifo(tmp_path / "pipe")
    assert sentence(tmp_path / "pipe") == "is not a regular file: name a .gguf file"


def test_huge_claims_over_a_sparse_file_end_quickly(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    path.write_bytes(header(pair("k", ARRAY, struct.pack("<IQ", STRING, 1_999_999))))
    os.truncate(path, 1 << 36)
    sentence(path)


def test_a_file_cut_anywhere_is_refused_or_read(tiny_gguf: MakeModel, tmp_path: Path) -> None:
    content = tiny_gguf().read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[:20_000])
    for size in range(20_000, 0, -97):
        os.truncate(path, size)
        try:
            read_gguf(path)
        except InvalidGguf as error:
            assert "download it again" in str(error) or size < 8  # noqa: PT017


def test_sizes_of_types_are_those_of_ggml() -> None:
    sizes = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: sizes[kind] for kind in _BLOCKS if kind in sizes} == {
        kind: size for kind, size in _BLOCKS.items() if kind in sizes
    }


@pytest.mark.parametrize("missing", [1, 2, 10])
def test_a_download_that_broke_off_is_told_at_once(
    tiny_gguf: MakeModel, tmp_path: Path, missing: int
) -> None:
    """Its header is whole; llama.cpp would find out when the first request has it load the model."""
    content = tiny_gguf().read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(content[: len(content) - len(content) * missing // 20])
    assert "is incomplete" in sentence(path)


@examples(200)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=8))
def test_damaged_headers_raise_nothing_but_invalid_gguf(
    tiny_gguf: MakeModel, tmp_path: Path, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(tiny_gguf().read_bytes()[:16_000])
    for place, byte in damage:
        content[place] = byte
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    try:
        read_gguf(path)
    except InvalidGguf:
        pass
