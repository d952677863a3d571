"""The machines of the constructed captures.

Sizes, clocks and identifiers are those of the public data sheets and of the PCI ID list; readings those of an idle GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.redact import fake_serial, fake_uuid

DRIVER = "580.65.06"
CUDA = 13000
UVM_MAJOR, CAPS_MAJOR = 506, 508  # taken from the kernel's dynamic range


@dataclass(frozen=True, eq=False)
class Mig:
    """A MIG device: one compute instance that fills its GPU instance."""

    gi: int
    profile: str  # "1g.5gb"
    profile_id: int
    slices: int
    sms: int
    memory_mib: int
    start: int
    ci: int = 0


@dataclass(frozen=True, eq=False)
class Model:
    name: str
    pci_device: int
    pci_subsystem: int
    memory_mib: int
    reserved_mib: int
    compute: tuple[int, int]
    architecture: int  # NVML_DEVICE_ARCH_*
    brand: int
    cores: int
    sms: int
    bus_width: int
    bar1_mib: int
    power_w: int
    clocks: tuple[int, int]  # highest SM and memory clock, MHz
    idle_clocks: tuple[int, int]
    pcie: tuple[int, int]  # generation, width
    vbios: str
    part: str
    nvlinks: int = 0
    nvlink_version: int = 0
    mig_capable: bool = False
    pci_class: str = "0x030200"


@dataclass(frozen=True, eq=False)
class Gpu:
    index: int
    model: Model
    pci: str  # 0000:1b:00.0
    numa: int
    machine: str
    migs: tuple[Mig, ...] = ()
    mig_enabled: bool = False

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def uuid(self) -> str:
        return fake_uuid("GPU", f"{self.machine}/{self.index}")

    @property
    def serial(self) -> str:
        return fake_serial("1" * 13, self.index)

    @property
    def bus(self) -> int:
        return int(self.pci.split(":")[1], 16)

    @property
    def bus_id(self) -> str:
        return f"0000{self.pci.upper()}"


@dataclass(frozen=True, eq=False)
class MigDevice:
    gpu: Gpu
    mig: Mig
    index: int

    @property
    def name(self) -> str:
        return f"{self.gpu.name} MIG {self.mig.profile}"

    @property
    def uuid(self) -> str:
        return fake_uuid("MIG", f"{self.gpu.machine}/{self.gpu.index}/{self.mig.gi}/{self.mig.ci}")


H100 = Model(
    name="NVIDIA H100 80GB HBM3", pci_device=0x233010DE, pci_subsystem=0x16C110DE, memory_mib=81559, reserved_mib=551,
    compute=(9, 0), architecture=9, brand=14, cores=16896, sms=132, bus_width=5120, bar1_mib=131072, power_w=700,
    clocks=(1980, 2619), idle_clocks=(345, 2619), pcie=(5, 16), vbios="96.00.89.00.01", part="692-2G520-0200-000",
    nvlinks=18, nvlink_version=6, mig_capable=True,
)  # fmt: skip
A100 = Model(
    name="NVIDIA A100-SXM4-40GB", pci_device=0x20B010DE, pci_subsystem=0x144E10DE, memory_mib=40960, reserved_mib=429,
    compute=(8, 0), architecture=7, brand=14, cores=6912, sms=108, bus_width=5120, bar1_mib=65536, power_w=400,
    clocks=(1410, 1215), idle_clocks=(210, 1215), pcie=(4, 16), vbios="92.00.45.00.03", part="692-2G506-0200-002",
    mig_capable=True,
)  # fmt: skip
T4 = Model(
    name="Tesla T4", pci_device=0x1EB810DE, pci_subsystem=0x12A210DE, memory_mib=15360, reserved_mib=437,
    compute=(7, 5), architecture=6, brand=2, cores=2560, sms=40, bus_width=256, bar1_mib=256, power_w=70,
    clocks=(1590, 5001), idle_clocks=(300, 405), pcie=(3, 16), vbios="90.04.96.00.01", part="900-2G183-0000-001",
)  # fmt: skip

# A100 40GB, by number of the profile: name, id, slices, SMs, MiB, most instances, places (start and size in memory
# slices), https://docs.nvidia.com/datacenter/tesla/mig-user-guide/
A100_PROFILES = {
    0: ("1g.5gb", 19, 1, 14, 4864, 7, [(i, 1) for i in range(7)]),
    1: ("2g.10gb", 14, 2, 28, 9856, 3, [(0, 2), (2, 2), (4, 2)]),
    2: ("3g.20gb", 9, 3, 42, 19968, 2, [(0, 4), (4, 4)]),
    3: ("4g.20gb", 5, 4, 56, 19968, 1, [(0, 4)]),
    4: ("7g.40gb", 0, 7, 98, 40192, 1, [(0, 8)]),
}

DGX_BUSES = (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF)
A100_MIGS = (
    Mig(gi=2, profile="3g.20gb", profile_id=9, slices=3, sms=42, memory_mib=19968, start=0),
    Mig(gi=3, profile="2g.10gb", profile_id=14, slices=2, sms=28, memory_mib=9856, start=4),
    Mig(gi=9, profile="1g.5gb", profile_id=19, slices=1, sms=14, memory_mib=4864, start=6),
)


def gpu(machine: str, index: int, model: Model, bus: int, numa: int = -1, migs: tuple[Mig, ...] = ()) -> Gpu:
    return Gpu(index, model, f"0000:{bus:02x}:00.0", numa, machine, migs, mig_enabled=bool(migs))


MACHINES: dict[str, tuple[Gpu, ...]] = {
    "constructed-1xh100": (gpu("constructed-1xh100", 0, H100, 0x1B, 0),),
    "constructed-8xh100": tuple(gpu("constructed-8xh100", i, H100, b, i // 4) for i, b in enumerate(DGX_BUSES)),
    "constructed-1xa100-mig": (gpu("constructed-1xa100-mig", 0, A100, 0x07, 0, A100_MIGS),),
    "constructed-1xt4": (gpu("constructed-1xt4", 0, T4, 0x04),),
    "constructed-none": (),
}
