"""Takes the names of one machine out of a capture: UUIDs, serial numbers, host names.

The same name becomes the same fake everywhere.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHORTEST_SERIAL = 6  # "0" and "N/A" are no serial numbers
UUID = re.compile(r"(?:GPU|MIG)-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class StillThere(Exception):
    """A name of the machine is left in what would be written."""


def fake_uuid(kind: str, of: str) -> str:
    """ "GPU-..." or "MIG-...": the same for the same `of`, everywhere."""
    return f"{kind}-{uuid.uuid5(uuid.NAMESPACE_URL, f'gpuready:replay:{of}')}"


def fake_serial(real: str, index: int) -> str:
    """As long as the real one, since it lies in buffers, and plainly none: a prefix of NVIDIA's, then the index."""
    return f"1650{index:0{len(real) - 4}d}"


@dataclass(frozen=True)
class Names:
    """What to replace. Keys are real, values fake, both of one length; host names occur in text only."""

    uuids: Mapping[str, str]  # with "GPU-", "MIG-" or "FAB-" before
    serials: Mapping[str, str]
    hosts: tuple[str, ...] = ()

    def text(self, text: str) -> str:
        for real, fake in {**self.uuids, **self.serials}.items():
            text = re.sub(re.escape(real), fake, text, flags=re.IGNORECASE)
        for real, fake in self.uuids.items():  # as the kernel log and CDI write it, without the prefix
            text = re.sub(re.escape(real[4:]), fake[4:], text, flags=re.IGNORECASE)
        text = re.sub(r"[\w.+-]+@[\w.-]+", "builder@node", text)  # who built the kernel module, and where
        for host in self.hosts:
            text = word(host).sub("node", text)
        return text

    def hex(self, line: str) -> str:
        """A line in which bytes stand as hex digits: the names as text and, for UUIDs, as 16 bytes."""
        for real, fake in self._hex_pairs():
            line = line.replace(real, fake)
        return line

    def _hex_pairs(self) -> Iterable[tuple[str, str]]:
        for real, fake in self.uuids.items():
            for form in (real, real.lower(), real.upper(), real[4:].lower(), real[4:].upper()):
                yield form.encode().hex(), fake[len(real) - len(form) :].encode().hex()
            yield uuid.UUID(real[4:]).hex, uuid.UUID(fake[4:]).hex
        for real, fake in self.serials.items():
            yield real.encode().hex(), fake.encode().hex()

    def check(self, written: str) -> None:
        """Raises StillThere, without repeating the name, when one of them can be found in what is to be written."""
        low = written.lower()
        for what, names in (("a UUID", self.uuids), ("a serial number", self.serials)):
            for name in names:
                forms = {name.lower(), name.encode().hex(), name.lower().encode().hex()}
                if what == "a UUID":
                    forms |= {name[4:].lower(), uuid.UUID(name[4:]).hex}
                if any(f in low for f in forms):
                    raise StillThere(f"{what} of this machine ({len(name)} characters) is left: nothing was written")
        for host in self.hosts:
            if word(host).search(written) or host.encode().hex() in low:
                raise StillThere(f"a host name of this machine ({len(host)} characters) is left: nothing was written")


def word(host: str) -> re.Pattern[str]:
    """The name as a word of its own: "node7" is not in "node77"."""
    return re.compile(rf"(?<![\w-]){re.escape(host)}(?![\w-])", re.IGNORECASE)
