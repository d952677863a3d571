"""The last line of defence: what looks like a secret never leaves the program, whatever the readers let through.

Works on text, so give it whole messages: a key that is split over two calls is recognised in neither.
What is public but looks like a secret (a certificate) is hidden too; the other way round would be worse.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Callable
from functools import cache

HIDDEN = "[hidden]"


def redact(text: str) -> str:
    """`text` with every secret replaced by [hidden]; text without any is returned as it is.

    Nearly every text has none, and every line of a report comes by: what costs little is asked first.
    """
    if "-----" in text:
        text = _pem_without_beginning(_PEM.sub(HIDDEN, text))
    for part, pattern, replacement in _BY_FORM:
        if part in text:
            text = pattern.sub(replacement, text)
    if len(text) >= _BASE64_LEAST:
        text = _BASE64.sub(_hide_if_it_hides, text)
    for stems, name, patterns in _by_name():
        lines = _named_in(text, stems, name)
        for pattern, hide in patterns:
            if not lines:
                break
            before, text = text, _sub_in(lines, pattern, hide, text)
            if text != before:
                lines = _named_in(text, stems, name)
    return _secret_objects(text)


def _named_in(text: str, stems: tuple[str, ...], name: re.Pattern[str]) -> list[tuple[int, int]]:
    """(start, end) of each line that has such a name, which has one of the stems: found at a hundredth of the price."""
    low = text.lower()
    if len(low) != len(text):  # one letter has a longer lower case
        low = text.replace("\u0130", "i").lower()
    found = set()
    for stem in stems:
        at = low.find(stem)
        while at >= 0:
            end = low.find("\n", at)
            end = len(low) if end < 0 else end
            found.add((low.rfind("\n", 0, at) + 1, end))
            at = low.find(stem, end)
    return sorted(line for line in found if name.search(low, line[0], line[1] + 1)) if found else []


def _sub_in(lines: list[tuple[int, int]], pattern: re.Pattern[str], hide: _Hide, text: str) -> str:
    """Substitute where a match begins in one of these lines; it may end anywhere."""
    out: list[str] = []
    done = 0
    for start, end in lines:
        start = max(start, done)
        reach = text.find("\n", text.find("\n", end + 1) + 1) if end < len(text) else end
        reach = reach if reach > end else len(text)
        while start < end and (near := pattern.search(text, start, reach)) and near.start() < end:
            match = pattern.match(text, near.start()) or near  # now as far as it goes
            out += [text[done : match.start()], hide(match)]
            done = match.end()
            start = max(done, match.start() + 1)
    return "".join([*out, text[done:]])


def names_secret(name: str) -> bool:
    """Whether what is called so is a secret: HF_TOKEN, dbPassword, client-key-data."""
    return re.fullmatch(_KEY, name, re.I) is not None


_Hide = Callable[[re.Match[str]], str]
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----(?:.*?-----END [A-Z0-9 ]+-----|.*)", re.S)  # also without its end
_PEM_END = re.compile(r"-----END [A-Z0-9 ]+-----")
_PEM_BODY = string.ascii_letters + string.digits + "+/=\\" + string.whitespace  # the backslash: newlines written as \n


def _pem_without_beginning(text: str) -> str:
    """What a bounded message may have kept of a key: its last lines."""
    *bodies, rest = _PEM_END.split(text)
    return "".join(body.rstrip(_PEM_BODY) + HIDDEN for body in bodies) + rest


_B64 = r"[A-Za-z0-9+/_=-]"
_TOKEN = r"[\w-]*token"
# Keys whose value is a secret in kubeconfigs, docker configs, OAuth answers and environment variables.
_KEY = (
    rf"(?:client[_-]key[_-]data|client[_-]certificate[_-]data|{_TOKEN}|[\w-]*(?:password|passwd|passphrase)"
    r"|[\w-]*(?:client|private|consumer)[_-]?secret|(?:[\w-]*[_-])?(?:api|private|secret|access|secret[_-]?access)[_-]?key"
    r"|\w+_secret|\.?dockerconfigjson|\.dockercfg)"
)
# how those names end, in lower case, and what stands in each of them: looked for first, as it costs little
_STEMS = ("token", "passw", "passphrase", "secret", "key", "certificate", "auth", "dockerc")
_ANY_KEY = re.compile(
    r"(?:token|passw(?:or)?d|passphrase|secret|(?:client|api|private|secret|access)[_-]?key(?:[_-]data)?"
    r"|certificate[_-]data|auth|authorization|dockerconfigjson|dockercfg)(?:\\n|\\*[\"']?\s*[:=,\s])"
)
_NAMED = rf"(?<![\w.-])-{{0,2}}{_KEY}"
_QUOTED_KEY = rf"""(?<!\\)(?P<mark>\\*)["'](?:{_KEY}|auth|authorization)(?P=mark)["']\s*:\s*"""
# a quote with its backslashes, up to the same quote with just as many (a string in JSON in JSON), or to the end
_STRING = r"""(?P<slashes>\\*)(?P<quote>["'])(?:.*?(?<!\\)(?P=slashes)(?P=quote)|.*)"""
_BLOCK = r"[|>][+-]?[0-9]?[ \t]*\n(?:[ \t]+\S[^\n]*(?:\n|\Z)|[ \t]*\n)+"
_NOT_SECRET = re.compile(r"(?:true|false|null|none|~)[\s,;}\]]*\Z|\[hidden\]|\Z", re.I)
_PROSE = re.compile(r"[a-z]{1,16}[.;:)]?\Z")  # "the token: expired"


def _hide_value(match: re.Match[str]) -> str:
    """`key: value` with the value hidden; the quotes stay, JSON and YAML need them."""
    value = match["value"]
    if _NOT_SECRET.match(value):
        return match[0]
    quote = re.match(r"""\\*["']""", value)
    mark = quote[0] if quote else ""
    if mark and _NOT_SECRET.match(value[len(mark) :].removesuffix(mark)):
        return match[0]
    end = "\n" if value.endswith("\n") else ""
    return f"{match['key']}{mark}{HIDDEN}{mark}{end}"


def _hide_word(match: re.Match[str]) -> str:
    """As above within a sentence, where `token: expired` tells of a token and is none; not within YAML's braces."""
    tells = match["colon"] == ":" and match["name"].lower().endswith("token") and _PROSE.match(match["value"])
    in_map = match.string[max(0, match.start() - 8) : match.start()].rstrip()[-1:] in ("{", ",")
    return match[0] if tells and not in_map else _hide_value(match)


# secrets that are known by their form, each with what it cannot be without
_BY_FORM = (
    ("LS0tLS1CRUdJTi", re.compile(rf"LS0tLS1CRUdJTi{_B64}*"), HIDDEN),  # base64 of -----BEGIN
    ("eyJ", re.compile(r"eyJ[A-Za-z0-9_-]{4,1024}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*"), HIDDEN),  # JWT
    ("", re.compile(r"(?:nvapi-|gh[pousr]_|github_pat_|glpat-|dckr_pat_)[A-Za-z0-9_-]{8,}"), HIDDEN),
    ("", re.compile(r"(?:hf_|npm)(?<![A-Za-z0-9]...)_?[A-Za-z0-9]{20,}"), HIDDEN),
    ("", re.compile(r"(?:xox[abprs]|AKIA|ASIA|AIza)(?<![A-Za-z0-9]....)[A-Za-z0-9_-]{16,}"), HIDDEN),
    ("JG9hdXRodG9rZW46", re.compile(rf"JG9hdXRodG9rZW46{_B64}*"), HIDDEN),  # base64 of $oauthtoken:
    # NGC's older keys: base64, 84 characters, the password of user $oauthtoken
    ("$oauthtoken", re.compile(rf"(\$oauthtoken.{{0,80}}?)(?<!{_B64}){_B64}{{60,}}", re.S), rf"\1{HIDDEN}"),
    ("login", re.compile(r"(\blogin\b[^\n]{0,200}?\s(?:-p|--password)[ =])[^\s]+"), rf"\1{HIDDEN}"),
    ("$oauthtoken", re.compile(r"(\$oauthtoken[:\s\"',]+)(?![\w-]+[\"']?\s*:)[^\s\"',:]{8,}"), rf"\1{HIDDEN}"),
    ("://", re.compile(r"://[^\s/?#]*@"), f"://{HIDDEN}@"),
    # a raw slash in a password; a port followed by a path with an @ (an image digest) is none
    ("://", re.compile(r"://[^\s/@:]{1,512}:(?![0-9]+[/?#])[^\s@]{0,512}@"), f"://{HIDDEN}@"),
)


@cache
def _by_name() -> tuple[tuple[tuple[str, ...], re.Pattern[str], tuple[tuple[re.Pattern[str], _Hide], ...]], ...]:
    """Secrets that are known by the name before them: in JSON, as a YAML block, on a line, in quotes, in a sentence."""
    line = rf"(?im)^(?P<key>[ \t]*(?:- |export )?{_KEY}[ \t]*[:=][ \t]*)"
    word = rf"(?i)(?P<key>(?P<name>{_NAMED})[ \t]*(?P<colon>[:=])[ \t]*)"
    header = r"(?i)(?P<key>(?:authorization|cookie)\s*[:=]\s*)(?P<value>(?!\[hidden\])[^\r\n\"'\\]+)"
    bearer = r"(?i)(?P<key>\bbearer[ \t:=]+)(?P<value>(?=\S*[0-9A-Z._~+/=-])[A-Za-z0-9._~+/=-]{8,})"
    by_key = (
        (re.compile(rf"(?P<key>{_QUOTED_KEY})(?P<value>{_STRING}|[^\s,}}\]]+)", re.I | re.S), _hide_value),
        (re.compile(rf"{line}(?P<value>{_BLOCK})"), _hide_value),
        (re.compile(rf"{line}(?P<value>[^\s\"'\\{{\[][^\n]*)"), _hide_value),
        (re.compile(rf"(?P<key>{_NAMED}\s*[:=]\s*)(?P<value>{_STRING})", re.I | re.S), _hide_value),
        (re.compile(rf"{word}(?P<value>[^\s\"'\\]\S*)"), _hide_word),
        (re.compile(rf"(?i)(?P<key>(?<!-)--{_KEY}[ \t]+)(?P<value>\S+)"), _hide_value),
        *((re.compile(form, re.I), _hide_value) for form in _APART),
    )
    return (
        (("authorization", "cookie"), re.compile("authorization|cookie"), ((re.compile(header), _hide_rest),)),
        (("bearer",), re.compile("bearer"), ((re.compile(bearer), _hide_rest),)),
        (_STEMS, _ANY_KEY, by_key),
    )


def _hide_rest(match: re.Match[str]) -> str:
    return f"{match['key']}{HIDDEN}"


_NEXT_LINE = r"(?:\\n|[\s>])+"  # also within a string, or quoted in a mail
# a name and its value in two places: a variable of a container, a flag and its argument in a list
_APART = (
    rf"(?P<key>\bname:[ \t]*[\"']?{_KEY}[\"']?{_NEXT_LINE}value:[ \t]*)(?P<value>[^\s{{\[](?:(?!\\n)[^\n])*)",
    rf"(?P<key>(?<!\\)(?P<m>\\*[\"'])name(?P=m)\s*:\s*(?P=m){_KEY}(?P=m)\s*,\s*(?P=m)value(?P=m)\s*:\s*)"
    rf"(?P<value>{_STRING})",
    rf"(?P<key>-[ \t]+[\"']?--?{_KEY}[\"']?{_NEXT_LINE}-[ \t]+)(?P<value>(?:(?!\\n)[^\n])+)",
    rf"(?P<key>(?<!\\)(?P<m>\\*[\"'])--?{_KEY}(?P=m)\s*,\s*)(?P<value>{_STRING})",
)


_BASE64_LEAST = 24  # characters
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])(?=[A-Fa-f0-9]*[^A-Fa-f0-9\s])[A-Za-z0-9+/]{24,}={0,2}(?![A-Za-z0-9+/=_-])")


def _hide_if_it_hides(match: re.Match[str]) -> str:
    """Text in base64 that is not fit to be seen."""
    try:
        plain = base64.b64decode(match[0] + "=" * (-len(match[0]) % 4), validate=True).decode()
    except ValueError:
        return match[0]
    return HIDDEN if redact(plain) != plain else match[0]


_QUOTE = r"""\\*["']"""
_SECRET_KIND = re.compile(rf"kind(?:{_QUOTE})?\s*:\s*(?:{_QUOTE})?Secret\b")
_JSON_DATA = re.compile(r"""((?<![\\\w])(?P<q>\\*["']?)(?:data|stringData)(?P=q)\s*:\s*)\{""")
_JSON_STRING_OR_END = re.compile(rf"{_STRING}|(?P<close>\}})", re.S)
_YAML_DATA = re.compile(
    r"(?m)^((?P<indent>[ \t]*)(?:- +)?(?:data|stringData):)(?:[ \t][^\n]*)?(?:\n|\Z)"
    r"(?:(?P=indent)[ \t]+\S[^\n]*(?:\n|\Z)|[ \t]*\n)*"
)


def _secret_objects(text: str) -> str:
    """Where a Secret is printed, every `data` in the text goes: which one is whose cannot be told safely."""
    if not _SECRET_KIND.search(text):
        return text
    out: list[str] = []
    at = 0
    for match in _JSON_DATA.finditer(text):
        if match.start() >= at:
            mark = match["q"] or "'"
            out += [text[at : match.end() - 1], f"{mark}{HIDDEN}{mark}"]
            at = _after_map(text, match.end())
    return _YAML_DATA.sub(rf"\g<1> '{HIDDEN}'\n", "".join([*out, text[at:]]))


def _after_map(text: str, start: int) -> int:
    """Index after the brace that closes the map of strings which begins at `start`; the end where none does."""
    ends = (m.end() for m in _JSON_STRING_OR_END.finditer(text, start) if m["close"])
    return next(ends, len(text))
