"""Cuts texts into the words that the lexical search compares.

Scripts that put spaces between words give words, those of English without their endings. Chinese, Japanese,
Korean and the like give each pair of neighbouring characters, and the last character of a run by itself, so
that every character begins a word: one alone is then found as the beginning of others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

VERSION: Final = 1
"""Of what is put into an index: goes up with any change to the words of a text."""

BEGINNING: Final = "*"
"""Ends a word of a question that stands for all words that begin so."""

_LONGEST: Final = 64
"""Characters of a word; what is longer is no word that somebody asks for, and is cut."""

_PAIRED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\uac00-\ud7af"  # Hangul
)
_RUNS: Final = re.compile(rf"([{_PAIRED}]+)|([^\W_{_PAIRED}]+(?:['’][^\W_{_PAIRED}]+)*)")

_ENGLISH: Final = """
    a about after all also am an and any are as at be because been before being both but by can could did do
    does doing done each else for from get gets give given had has have having he her here hers him his how i
    if in into is it its itself just let like made make many may me might mine more most much must my no nor
    not of off on one or other our ours out over own please quite rather same shall she should so some such
    tell than that the their theirs them then there these they this those through to too under until up upon
    us very was way we were what when where whether which while who whom whose why will with within without
    would yes you your yours im ive id ill youre youve youll dont doesnt didnt isnt arent wasnt werent cant
    cannot couldnt wont wouldnt shouldnt hasnt havent hadnt thats whats theres lets happen happens happened
    exactly really actually explain describe thing things something someone somebody anything anyone
    everything everyone
"""
_STOP_WORDS: Final = frozenset(_ENGLISH.split())

_FUNCTION_CHARACTERS: Final = frozenset("的地得了着过吗呢吧啊呀嘛么是在和与及或之其这那哪谁个些也都就还又")
_QUESTION_WORDS: Final = re.compile(
    "什么|怎么样|怎么办|怎样|怎么|如何|为什么|为何|多少|多久|多长时间|几个|几种|是否|能否|可否|可以|应该|应当|需要|请问"
    "|哪里|哪些|哪个|哪种|哪座|哪年|哪一|有没有|是不是|能不能|会不会|我们|你们|他们|它们|人们|一个|一种|一下|一般|以及|因为"
    "|所以|如果|但是|并且|时候|告诉|何时|何处|何人|为了|关于|对于|主要|原因"
    "|です|ます|ました|ません|でしょう|ください|とは|には|では|から|まで|どこ|なぜ|いつ|だれ|なに|どう|どの|どれ|何|誰|する|した|して"
    "|ある|いる|の|は|が|を|に|へ|で|と|も|か"
)
"""What a question is made of in Chinese and Japanese beside what it is about; longer ones come first."""
_PARTICLES: Final = frozenset("은는이가을를의에로와과도만")
"""Korean words end in these."""

_VOWEL: Final = re.compile("[aeiouy]")
_DOUBLED: Final = re.compile(r"([bdfgkmnprt])\1$")
_DERIVED: Final = (
    *("ization", "isation", "ational", "ations", "ation", "ments", "ment", "ness", "able", "ible", "ings"),
    *("ers", "ors", "ies", "ives", "ive", "ion", "ize", "ise", "ity", "ful", "ing", "ied", "est", "ly"),
    *("al", "er", "or", "ed", "es"),
)
_LEFT: Final = {"ing": 3, "ed": 3, "ied": 2, "ion": 5, "al": 5, "er": 4, "or": 5, "est": 4, "es": 4}
"""How many letters must be left before an ending, where it is not four: "station" is not "st"."""


def words(text: str) -> list[str]:
    """The words of a passage in their order, repeated ones too; only letters and digits are in them."""
    found: list[str] = []
    for paired, spaced in _runs(text):
        if paired:
            found += _pairs(paired)
        else:
            found.append(_word(spaced))
    return found


def query_words(text: str) -> list[str]:
    """The words of a question that say what it is about, each once. Some may end in :data:`BEGINNING`."""
    found: dict[str, None] = {}
    for paired, spaced in _runs(text):
        for word in _asked_pairs(paired) if paired else _asked_word(spaced):
            found[word] = None
    return list(found)


def matching(asked: Iterable[str], text: str) -> set[str]:
    """Those of a question's words that are in a passage."""
    there = set(words(text))
    return {
        word
        for word in asked
        if word in there or (word.endswith(BEGINNING) and any(each.startswith(word[:-1]) for each in there))
    }


def _runs(text: str) -> Iterator[tuple[str, str]]:
    for match in _RUNS.finditer(unicodedata.normalize("NFKC", text).casefold()):
        yield match[1] or "", match[2] or ""


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run))]


def _asked_word(word: str) -> Iterator[str]:
    if word.replace("'", "").replace("’", "") not in _STOP_WORDS:
        yield _word(word)


def _asked_pairs(run: str) -> Iterator[str]:
    if "\uac00" <= run[-1] <= "\ud7af" and len(run) > 2 and run[-1] in _PARTICLES:
        run = run[:-1]
    for part in _topics(run) or [run]:
        if len(part) == 1:
            yield part + BEGINNING
        yield from (part[at : at + 2] for at in range(len(part) - 1))


def _topics(run: str) -> list[str]:
    """The parts of a run between what is only grammar."""
    cut = _QUESTION_WORDS.sub(" ", run)
    return "".join(" " if each in _FUNCTION_CHARACTERS else each for each in cut).split()


@lru_cache(maxsize=50_000)
def _word(word: str) -> str:
    """How a word is compared: without accents, and without the endings of English."""
    word = word.replace("’", "'").removesuffix("'s").replace("'", "")
    if not word.isascii():
        plain = "".join(
            each for each in unicodedata.normalize("NFD", word) if not unicodedata.combining(each)
        )
        word = unicodedata.normalize("NFC", plain) or word
    word = word[:_LONGEST]
    return _stem(word) if word.isascii() and word.isalpha() else word


def _stem(word: str) -> str:
    """An English word without its ending; forms of one word come to the same, which need be no word."""
    if len(word) < 4:
        return word
    word = _singular(word)
    for ending in _DERIVED:
        if word.endswith(ending):
            left = word[: -len(ending)]
            if len(left) >= _LEFT.get(ending, 4) and _VOWEL.search(left):
                word = left + "y" if ending == "ied" else _DOUBLED.sub(r"\1", left)
                break
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    if len(word) > 3 and word.endswith("y"):
        word = word[:-1] + "i"
    return word


def _singular(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
