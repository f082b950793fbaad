"""Makes tiny GGUF models that llama.cpp loads like any other, with an answer that is known beforehand.

The tokenizer is a byte-level BPE of 256 bytes, a few learned merges and the ChatML specials; the chat
template knows tools in the Hermes form. With a script, the layers add nothing to what they are given and the
output matrix is a table of bigrams, so that the model answers the script, token by token, at any temperature.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest

Matrix = npt.NDArray[np.float32]

CORPUS = (
    "the quick brown fox jumps over the lazy dog. a streaming gateway sends tokens as they come, "
    "and the reader sees each word as it is written. tools, agents, documents and workspaces. "
    "hello world, how are you today? i am fine, thank you. "
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

TEMPLATE = """{%- if tools %}<|im_start|>system
{%- if messages[0]['role'] == 'system' %}
{{ messages[0]['content'] }}
{%- endif %}
# Tools
You may call one or more functions. Signatures within <tools></tools>:
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
For each call return a json object within <tool_call></tool_call>:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message['role'] == 'tool' %}<|im_start|>user
<tool_response>
{{ message['content'] }}
</tool_response><|im_end|>
{% elif message['role'] == 'assistant' %}<|im_start|>assistant
@EARLIER_THOUGHT@{%- if message['content'] %}
{{ message['content'] }}
{%- endif %}
{%- for tc in message.tool_calls %}
<tool_call>
{"name": "{{ tc.function.name }}", "arguments": {{ tc.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% elif not (tools and loop.first and message['role'] == 'system') %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
@NO_THOUGHT@{% endif %}"""

# From these llama.cpp sees that the model may reason first: it then splits the thought from the answer.
EARLIER_THOUGHT = """{%- if message.reasoning_content %}
<think>
{{ message.reasoning_content }}
</think>
{% endif %}
"""
NO_THOUGHT = """{% if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}"""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """What a tiny model is like. Without a ``script`` it talks noise."""

    script: str | None = None
    loop: bool = False
    """Begin the script again instead of ending."""
    goes_on: bool = False
    """Go on with the script also when its text is given up to the end of a piece that ends in a semicolon."""
    think: bool = False
    """Give it a chat template that knows reasoning."""
    architecture: str = "llama"
    dim: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 128
    context: int = 4096
    merges: int = 120
    corpus: str = CORPUS
    """What the merges are learned from: words as in its prompts make these fewer tokens."""
    seed: int = 1


def shared_tiny_gguf(factory: pytest.TempPathFactory, model: TinyModel) -> Path:
    """Return a file of ``model`` that is made once for a test run, also when several workers ask for it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-gguf"
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(repr(model).encode()).hexdigest()[:16]}.gguf"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_suffix(".part")
            _write(unfinished, model)
            unfinished.rename(path)
    return path


def write_tiny_gguf(
    path: Path,
    *,
    script: str | None = None,
    loop: bool = False,
    think: bool = False,
    architecture: str = "llama",
    dim: int = 64,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    feed_forward: int = 128,
    context: int = 4096,
    merges: int = 120,
    corpus: str = CORPUS,
    seed: int = 1,
) -> None:
    """Write a model to ``path``; TinyModel says what the options mean."""
    _write(
        path,
        TinyModel(
            script=script,
            loop=loop,
            think=think,
            architecture=architecture,
            dim=dim,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            feed_forward=feed_forward,
            context=context,
            merges=merges,
            corpus=corpus,
            seed=seed,
        ),
    )


def _write(path: Path, model: TinyModel) -> None:
    vocabulary = _Vocabulary(model)
    writer = gguf.GGUFWriter(path, model.architecture)
    _write_facts(writer, model, vocabulary)
    _write_weights(writer, model, vocabulary)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class _Vocabulary:
    def __init__(self, model: TinyModel) -> None:
        letters = _letters()
        self.newline = letters[10]
        self.merges = _learned_merges(model.corpus * 4, model.merges, letters)
        plain = list(dict.fromkeys([*letters.values(), *(left + right for left, right in self.merges)]))
        self.pieces = _distinct_pieces(model.script or "", set(plain), letters)
        plain += self.pieces
        self.plain = len(plain)
        self.tokens = [*plain, *SPECIALS]
        while len(self.tokens) % 32:
            self.tokens.append(f"<|unused{len(self.tokens)}|>")
        self.ids = {token: number for number, token in enumerate(self.tokens)}


def _letters() -> dict[int, str]:
    """GPT-2's one printable character for each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(printable)))
    return letters


def _learned_merges(text: str, count: int, letters: dict[int, str]) -> list[tuple[str, str]]:
    words: dict[tuple[str, ...], int] = {}
    for index, text_word in enumerate(text.split(" ")):
        key = tuple(letters[byte] for byte in (" " + text_word if index else text_word).encode())
        words[key] = words.get(key, 0) + 1
    merges: list[tuple[str, str]] = []
    for _ in range(count):
        pairs: dict[tuple[str, str], int] = {}
        for word, times in words.items():
            for pair in pairwise(word):
                pairs[pair] = pairs.get(pair, 0) + times
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = _merged(words, best)
    return merges


def _merged(words: dict[tuple[str, ...], int], pair: tuple[str, str]) -> dict[tuple[str, ...], int]:
    result: dict[tuple[str, ...], int] = {}
    for word, times in words.items():
        parts: list[str] = []
        for part in word:
            if parts and (parts[-1], part) == pair:
                parts[-1] += part
            else:
                parts.append(part)
        result[tuple(parts)] = result.get(tuple(parts), 0) + times
    return result


def _distinct_pieces(script: str, taken: set[str], letters: dict[int, str]) -> list[str]:
    """Cut the script into pieces that are all different, as bigrams need it, and no tokens yet."""
    pieces: list[str] = []
    piece = ""
    for character in script:
        piece += "".join(letters[byte] for byte in character.encode())
        if len(piece) >= 4 and piece not in taken:
            pieces.append(piece)
            taken.add(piece)
            piece = ""
    if piece and piece in taken and pieces:
        pieces[-1] += piece
    elif piece:
        pieces.append(piece)
    return pieces


def _write_facts(writer: gguf.GGUFWriter, model: TinyModel, vocabulary: _Vocabulary) -> None:
    tokens = vocabulary.tokens
    writer.add_name(f"tiny-{model.architecture}")
    writer.add_license("CC0-1.0")
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.dim)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.feed_forward)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(model.dim // model.heads)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    normal = [int(gguf.TokenType.NORMAL)] * vocabulary.plain
    writer.add_token_types(normal + [int(gguf.TokenType.CONTROL)] * (len(tokens) - vocabulary.plain))
    writer.add_token_merges([f"{left} {right}" for left, right in vocabulary.merges])
    writer.add_bos_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_eos_token_id(vocabulary.ids["<|im_end|>"])
    writer.add_eot_token_id(vocabulary.ids["<|im_end|>"])
    writer.add_pad_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    template = TEMPLATE.replace("@EARLIER_THOUGHT@", EARLIER_THOUGHT if model.think else "")
    writer.add_chat_template(template.replace("@NO_THOUGHT@", NO_THOUGHT if model.think else ""))


def _write_weights(writer: gguf.GGUFWriter, model: TinyModel, vocabulary: _Vocabulary) -> None:
    random = np.random.default_rng(model.seed)
    head = model.dim // model.heads
    silent = bool(vocabulary.pieces)

    def noise(rows: int, columns: int) -> Matrix:
        weights: Matrix = (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)
        return weights

    def add(name: str, rows: int, columns: int, *, mute: bool = False) -> None:
        weights = noise(rows, columns)
        writer.add_tensor(name, np.zeros_like(weights) if mute else weights)

    embeddings = random.standard_normal((len(vocabulary.tokens), model.dim)).astype(np.float32)
    writer.add_tensor("token_embd.weight", embeddings)
    for layer in range(model.layers):
        prefix = f"blk.{layer}."
        writer.add_tensor(prefix + "attn_norm.weight", np.ones(model.dim, dtype=np.float32))
        add(prefix + "attn_q.weight", model.heads * head, model.dim)
        add(prefix + "attn_k.weight", model.kv_heads * head, model.dim)
        add(prefix + "attn_v.weight", model.kv_heads * head, model.dim)
        add(prefix + "attn_output.weight", model.dim, model.heads * head, mute=silent)
        writer.add_tensor(prefix + "ffn_norm.weight", np.ones(model.dim, dtype=np.float32))
        add(prefix + "ffn_gate.weight", model.feed_forward, model.dim)
        add(prefix + "ffn_up.weight", model.feed_forward, model.dim)
        add(prefix + "ffn_down.weight", model.dim, model.feed_forward, mute=silent)
    writer.add_tensor("output_norm.weight", np.ones(model.dim, dtype=np.float32))
    output = noise(len(vocabulary.tokens), model.dim) * np.float32(2)
    writer.add_tensor("output.weight", _scripted(output, embeddings, vocabulary, model))


def _scripted(output: Matrix, embeddings: Matrix, vocabulary: _Vocabulary, model: TinyModel) -> Matrix:
    """Make the output matrix a table: the row of the next token points where the one before it points."""
    output[vocabulary.plain :] = 0  # specials have a logit of 0: they come now and then, not at once
    if not vocabulary.pieces:
        return output
    output *= np.float32(0.05)
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    ids = [vocabulary.ids[piece] for piece in vocabulary.pieces]
    last = ids[0] if model.loop else vocabulary.ids["<|im_end|>"]
    steps = list(pairwise([vocabulary.ids[vocabulary.newline], *ids, last]))
    if model.goes_on:  # a text that is given has tokens of its own: the semicolon is one
        (at,) = (at for at, piece in enumerate(vocabulary.pieces) if piece.endswith(";"))
        steps.append((vocabulary.ids[";"], ids[at + 1]))
    for before, after in steps:
        output[after] += directions[before] * 8
    return output
