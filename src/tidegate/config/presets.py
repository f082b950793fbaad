"""Owns the table of known vendors, read from ``sources/presets.toml``, and the list of quirks it may name.

A vendor is one row of data; nothing here or elsewhere asks for a vendor by name.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from types import MappingProxyType
from typing import Final

import msgspec

QUIRKS: Final = MappingProxyType(
    {
        "no_stream_options": "`stream_options` is rejected, so it is never sent; usage comes unasked.",
        "max_completion_tokens": "`max_tokens` is rejected by some models; it is sent as"
        " `max_completion_tokens`.",
        "max_tokens": "`max_completion_tokens` is unknown; it is sent as `max_tokens`.",
        "random_seed": "`seed` is unknown; it is sent as `random_seed`.",
        "no_empty_tools": "An empty `tools` list is rejected; it is left out, `tool_choice` with it.",
        "no_message_name": "`name` inside a message is rejected; it is left out.",
        "no_reasoning_content": "`reasoning_content` in the assistant messages of a history is rejected;"
        " it is left out.",
        "no_developer_role": "The role `developer` is rejected; such messages are sent as `system`.",
        "short_tool_call_ids": "A tool call's id must be nine letters or digits; any other id in a history is"
        " replaced by one derived from it, the same in the call and in its result.",
        "no_top_k": "`top_k` and `min_p` are rejected; they are left out.",
        "no_reasoning_effort": "`reasoning_effort` is rejected by some models; it is left out.",
        "signed_thinking": "Thinking without a signature is rejected in a history; it is left out there.",
        "no_completions": "There is no `/completions`; legacy completions are asked for as a conversation.",
        "no_model_list": "`GET /models` does not list what can be called, so models are not looked up there.",
    }
)

CONTINUES: Final = MappingProxyType(
    {
        "continue_final_message": "The body says `continue_final_message: true` and"
        " `add_generation_prompt: false`.",
        "prefix": "The last message says `prefix: true`. The answer may repeat the beginning.",
        "partial": "The last message says `partial: true`.",
        "prefill": "That the last message is the assistant's is enough.",
        "none": "It cannot, so no answer is gone on with there.",
    }
)
"""How a server is told to go on with the assistant's last message, in place of answering to it."""


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known about one vendor.

    ``name`` is the word in the configuration, ``title`` the vendor's own. ``base_url`` is empty where it
    differs for every customer. ``endpoint_env`` names a variable that holds another, and ``endpoint_path`` is
    appended to an address without a path. ``auth`` is a form as in `Provider`. ``env`` lists the variables
    that hold the credential, the usual one first. ``port`` is where a local server listens when nobody moved
    it. ``docs`` is the page that the row was taken from. ``continues`` is one of `CONTINUES`, of which
    ``continues_docs`` is the page; ``continues_path`` is the path in place of the base URL's where it is so.
    """

    name: str
    title: str
    base_url: str
    dialect: str = "openai-chat"
    auth: str = "bearer"
    env: tuple[str, ...] = ()
    endpoint_env: str | None = None
    endpoint_path: str = ""
    port: int | None = None
    quirks: frozenset[str] = frozenset()
    docs: str
    continues: str | None = None
    continues_path: str | None = None
    continues_docs: str | None = None

    @property
    def local(self) -> bool:
        """Whether this is a program that people run on their own machine."""
        return self.port is not None


def load_presets() -> dict[str, Preset]:
    """Return every known vendor by name, in the order in which defaults prefer them."""
    # Read as a file of the distribution: importing tidegate.sources from here would be an import upward.
    table = tomllib.loads(resources.files("tidegate").joinpath("sources/presets.toml").read_text("utf-8"))
    return {name: msgspec.convert(row | {"name": name}, Preset) for name, row in table.items()}
