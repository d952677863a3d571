"""What `gpuready explain` says of one rule, from the catalogue alone."""

from __future__ import annotations

import msgspec


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    id: str
    layer: str  # diagnose, preflight, verify
    title: str
    means: str  # why it matters, in the rule's own words
    effect: str  # what it leads to: "a cause", "a symptom of something else", "`up` refuses"
    link: str = ""  # model/chain.py
    looks_at: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()  # the words that it knows its cause by (knowledge/lexicon.py)
    follows_from: tuple[str, ...] = ()  # ids
    leads_to: tuple[str, ...] = ()
    next: str = ""
    remedy: str = ""  # what doctor --fix does
    by_hand: str = ""  # where it leaves that to a person
    sources: tuple[str, ...] = ()
