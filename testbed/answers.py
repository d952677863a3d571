"""What NVML says about the machines of machines.py: one function of NVML, one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testbed.fakenvml import INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, Answer, Refused
from testbed.machines import A100, A100_PROFILES, CUDA, DRIVER, Gpu, Mig, MigDevice, Model

MIB = 1 << 20
ECC_AND_XID = 0x1 | 0x2 | 0x8  # nvmlEventType: single bit ECC, double bit ECC, Xid
GPU_IDLE, ALL_REASONS = 0x1, 0x1FF  # nvmlClocksEventReasons
SWITCH = 0x2  # NVML_NVLINK_DEVICE_TYPE_SWITCH
GRAPHICS, SM, MEM, VIDEO = range(4)  # NVML_CLOCK_*
UNSIGNED, LONG = 1, 3  # NVML_VALUE_TYPE_UNSIGNED_INT, _UNSIGNED_LONG_LONG
SAME_BOARD, SAME_NODE, ACROSS = 0, 40, 50  # NVML_TOPOLOGY_INTERNAL, _NODE, _SYSTEM
PEER, NO_PEER = 0, 5  # NVML_P2P_STATUS_OK, _NOT_SUPPORTED
TURING, AMPERE = 6, 7  # NVML_DEVICE_ARCH_*
DRAM, SRAM = 2, 7  # NVML_MEMORY_LOCATION_*
PCI_BUS, FABRIC_UP, FABRIC_NONE = 2, 3, 1
TEMPERATURE, MEMORY_TEMPERATURE, POWER_MW, ENERGY_MJ, SAMPLING_US = 31, 39, 69_420, 8_412_337_125, 167_000
Device = Gpu | MigDevice


def answers(gpus: tuple[Gpu, ...]) -> dict[str, Answer]:
    """Answer by NVML function. An answer returns what the out arguments become, in order."""
    return {**system(gpus), **identity(), **readings(), **clocks_and_links(), **health(), **mig()}


def system(gpus: tuple[Gpu, ...]) -> dict[str, Answer]:
    everything: list[Device] = [*gpus, *(m for g in gpus for m in migs_of(g))]
    return {
        "nvmlSystemGetDriverVersion": lambda: DRIVER,
        "nvmlSystemGetNVMLVersion": lambda: f"13.{DRIVER}",
        "nvmlSystemGetCudaDriverVersion": lambda: CUDA,
        "nvmlSystemGetCudaDriverVersion_v2": lambda: CUDA,
        "nvmlSystemGetDriverBranch": lambda *_: {"branch": "r580_00"},
        "nvmlDeviceGetCount_v2": lambda: len(gpus),
        "nvmlDeviceGetHandleByIndex_v2": lambda i: gpus[i] if i < len(gpus) else refuse(INVALID_ARGUMENT),
        "nvmlDeviceGetHandleByUUID": lambda uuid: first(d for d in everything if d.uuid == uuid.decode()),
        "nvmlDeviceGetHandleByPciBusId_v2": lambda pci: first(g for g in gpus if g.bus_id.endswith(pci.decode()[-10:])),
        "nvmlDeviceGetHandleBySerial": lambda serial: first(g for g in gpus if g.serial == serial.decode()),
        "nvmlDeviceGetTopologyCommonAncestor": ancestor,
        "nvmlDeviceOnSameBoard": lambda a, b: int(a is b),
        "nvmlDeviceGetP2PStatus": peers,
        "nvmlDeviceGetTopologyNearestGpus": lambda g, level, *_: nearest(gpus, g, level),
    }


def identity() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetName": lambda d: d.name,
        "nvmlDeviceGetUUID": lambda d: d.uuid,
        "nvmlDeviceGetIndex": lambda d: d.index,
        "nvmlDeviceGetSerial": lambda d: whole(d).serial,
        "nvmlDeviceGetMinorNumber": lambda d: whole(d).index,
        "nvmlDeviceGetPciInfo_v3": lambda d: pci_info(whole(d)),
        "nvmlDeviceGetPciInfoExt": lambda d, *_: pci_info_ext(whole(d)),
        "nvmlDeviceGetBrand": lambda d: owner(d).model.brand,
        "nvmlDeviceGetArchitecture": lambda d: owner(d).model.architecture,
        "nvmlDeviceGetCudaComputeCapability": lambda d: owner(d).model.compute,
        "nvmlDeviceGetNumGpuCores": model(lambda m: m.cores),
        "nvmlDeviceGetMemoryBusWidth": model(lambda m: m.bus_width),
        "nvmlDeviceGetBusType": always(PCI_BUS),
        "nvmlDeviceGetIrqNum": lambda d: 120 + whole(d).index,
        "nvmlDeviceGetBoardId": lambda d: whole(d).bus << 8,
        "nvmlDeviceGetBoardPartNumber": model(lambda m: m.part),
        "nvmlDeviceGetVbiosVersion": model(lambda m: m.vbios),
        "nvmlDeviceGetMultiGpuBoard": always(0),
        "nvmlDeviceGetModuleId": lambda d: whole(d).index + 1,
        "nvmlDeviceGetNumaNodeId": lambda d: whole(d).numa if whole(d).numa >= 0 else refuse(NOT_SUPPORTED),
        "nvmlDeviceGetMemoryAffinity": lambda d, *_: [1 << max(whole(d).numa, 0)],
        "nvmlDeviceGetGspFirmwareVersion": always(DRIVER),
        "nvmlDeviceGetGspFirmwareMode": always((1, 1)),
        "nvmlDeviceGetVirtualizationMode": always(0),
        "nvmlDeviceGetPersistenceMode": always(1),
        "nvmlDeviceGetDisplayMode": always(1),
        "nvmlDeviceGetDisplayActive": always(0),
        "nvmlDeviceGetComputeMode": always(0),
        "nvmlDeviceGetPowerSource": always(0),
        "nvmlDeviceGetSupportedEventTypes": always(ECC_AND_XID),
    }


def readings() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetMemoryInfo": lambda d, *_: memory(d),
        "nvmlDeviceGetMemoryInfo_v2": lambda d, *_: memory(d) | {"reserved": reserved(d)},
        "nvmlDeviceGetBAR1MemoryInfo": lambda d: bar1(owner(d)),
        "nvmlDeviceGetPowerUsage": always(POWER_MW),
        "nvmlDeviceGetPowerManagementMode": always(1),
        "nvmlDeviceGetPowerManagementLimit": model(lambda m: m.power_w * 1000),
        "nvmlDeviceGetPowerManagementDefaultLimit": model(lambda m: m.power_w * 1000),
        "nvmlDeviceGetEnforcedPowerLimit": model(lambda m: m.power_w * 1000),
        "nvmlDeviceGetPowerManagementLimitConstraints": model(lambda m: (m.power_w * 250, m.power_w * 1000)),
        "nvmlDeviceGetTotalEnergyConsumption": lambda d: ENERGY_MJ + whole(d).index,
        "nvmlDeviceGetTemperature": lambda d, sensor: refuse(INVALID_ARGUMENT) if sensor else whole(d) and TEMPERATURE,
        "nvmlDeviceGetTemperatureV": always({"temperature": TEMPERATURE}),
        "nvmlDeviceGetTemperatureThreshold": threshold,
        "nvmlDeviceGetUtilizationRates": always({"gpu": 0, "memory": 0}),
        "nvmlDeviceGetEncoderUtilization": always((0, SAMPLING_US)),
        "nvmlDeviceGetDecoderUtilization": always((0, SAMPLING_US)),
        "nvmlDeviceGetFieldValues": lambda d, _count, asked: [field_value(whole(d), f.fieldId) for f in asked],
        "nvmlDeviceGetComputeRunningProcesses_v3": lambda *_: 0,
        "nvmlDeviceGetComputeRunningProcesses_v2": lambda *_: 0,
        "nvmlDeviceGetGraphicsRunningProcesses_v3": lambda *_: 0,
        "nvmlDeviceGetMPSComputeRunningProcesses_v3": lambda *_: 0,
    }


def clocks_and_links() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetClockInfo": lambda d, kind: clock(whole(d).model.idle_clocks, kind),
        "nvmlDeviceGetMaxClockInfo": lambda d, kind: clock(owner(d).model.clocks, kind),
        "nvmlDeviceGetPerformanceState": always(0),
        "nvmlDeviceGetPowerState": always(0),
        "nvmlDeviceGetCurrentClocksEventReasons": always(GPU_IDLE),
        "nvmlDeviceGetCurrentClocksThrottleReasons": always(GPU_IDLE),
        "nvmlDeviceGetSupportedClocksEventReasons": always(ALL_REASONS),
        "nvmlDeviceGetSupportedClocksThrottleReasons": always(ALL_REASONS),
        "nvmlDeviceGetPcieReplayCounter": always(0),
        "nvmlDeviceGetPcieThroughput": lambda d, counter: whole(d) and (412, 736)[counter],
        "nvmlDeviceGetCurrPcieLinkGeneration": model(lambda m: m.pcie[0]),
        "nvmlDeviceGetMaxPcieLinkGeneration": model(lambda m: m.pcie[0]),
        "nvmlDeviceGetGpuMaxPcieLinkGeneration": model(lambda m: m.pcie[0]),
        "nvmlDeviceGetCurrPcieLinkWidth": model(lambda m: m.pcie[1]),
        "nvmlDeviceGetMaxPcieLinkWidth": model(lambda m: m.pcie[1]),
        "nvmlDeviceGetNvLinkState": lambda d, link: linked(d, link) and 1,
        "nvmlDeviceGetNvLinkVersion": lambda d, link: linked(d, link).model.nvlink_version,
        "nvmlDeviceGetNvLinkRemoteDeviceType": lambda d, link: linked(d, link) and SWITCH,
        "nvmlDeviceGetNvLinkRemotePciInfo_v2": lambda d, link: linked(d, link) and nvswitch(link),
        "nvmlDeviceGetNvLinkCapability": lambda d, link, what: linked(d, link) and int(what in (0, 1, 2, 3, 5)),
        "nvmlDeviceGetNvLinkErrorCounter": lambda d, link, _counter: linked(d, link) and 0,
        "nvmlDeviceGetGpuFabricInfo": model(lambda m: {"state": FABRIC_UP if m.nvlinks else FABRIC_NONE}),
        "nvmlDeviceGetGpuFabricInfoV": model(lambda m: {"state": FABRIC_UP if m.nvlinks else FABRIC_NONE}),
    }


def health() -> dict[str, Answer]:
    """Ampere and later remap rows; before that, pages are retired."""
    return {
        "nvmlDeviceGetEccMode": always((1, 1)),
        "nvmlDeviceGetDefaultEccMode": always(1),
        "nvmlDeviceGetTotalEccErrors": always(0),
        "nvmlDeviceGetMemoryErrorCounter": lambda _d, _kind, _span, place: 0 if place in (DRAM, SRAM) else refuse(),
        "nvmlDeviceGetRetiredPages": until(TURING, 0),
        "nvmlDeviceGetRetiredPages_v2": until(TURING, 0),
        "nvmlDeviceGetRetiredPagesPendingStatus": until(TURING, 0),
        "nvmlDeviceGetRemappedRows": since(AMPERE, (0, 0, 0, 0)),
        "nvmlDeviceGetRowRemapperHistogram": since(AMPERE, {"max": 640}),
        "nvmlDeviceGetSramEccErrorStatus": since(AMPERE, {}),
    }


def mig() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetMigMode": lambda d: (int(capable(d).mig_enabled),) * 2,
        "nvmlDeviceIsMigDeviceHandle": lambda d: int(isinstance(d, MigDevice)),
        "nvmlDeviceGetMaxMigDeviceCount": lambda d: 7 if isinstance(d, Gpu) and d.model.mig_capable else 0,
        "nvmlDeviceGetMigDeviceHandleByIndex": lambda d, i: first(m for m in migs_of(d) if m.index == i),
        "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": lambda d: part(d).gpu,
        "nvmlDeviceGetGpuInstanceId": lambda d: part(d).mig.gi,
        "nvmlDeviceGetComputeInstanceId": lambda d: part(d).mig.ci,
        "nvmlDeviceGetAttributes_v2": lambda d: attributes(part(d).mig),
        "nvmlDeviceGetGpuInstanceProfileInfo": lambda d, p, *_: profile(d, p),
        "nvmlDeviceGetGpuInstanceProfileInfoV": lambda d, p, *_: profile(d, p) | {"name": f"MIG {A100_PROFILES[p][0]}"},
        "nvmlDeviceGetGpuInstanceRemainingCapacity": lambda d, p: remaining(capable(d), p),
        "nvmlDeviceGetGpuInstancePossiblePlacements_v2": lambda d, p, *given: placements(d, p, None in given),
        "nvmlDeviceGetGpuInstances": lambda d, p, *_: gpu_instances(capable(d), p),
        "nvmlGpuInstanceGetInfo": instance_info,
    }


def always(value: Any) -> Answer:
    """The same for every GPU, refused for a MIG device."""
    return lambda device, *_: whole(device) and value


def model(answer: Callable[[Model], Any]) -> Answer:
    """What the model decides, refused for a MIG device."""
    return lambda device, *_: answer(whole(device).model)


def since(architecture: int, value: Any) -> Answer:
    return model(lambda m: value if m.architecture >= architecture else refuse())


def until(architecture: int, value: Any) -> Answer:
    return model(lambda m: value if m.architecture <= architecture else refuse())


def refuse(code: int = NOT_SUPPORTED) -> Any:
    raise Refused(code)


def first(found: Any) -> Any:
    return next(found, None) or refuse(NOT_FOUND)


def owner(device: Device) -> Gpu:
    return device.gpu if isinstance(device, MigDevice) else device


def whole(device: Device) -> Gpu:
    """What NVML answers for a GPU and refuses for a MIG device."""
    return device if isinstance(device, Gpu) else refuse()


def part(device: Device) -> MigDevice:
    return device if isinstance(device, MigDevice) else refuse(INVALID_ARGUMENT)


def capable(device: Device) -> Gpu:
    return whole(device) if whole(device).model.mig_capable else refuse()


def linked(device: Device, link: int) -> Gpu:
    return whole(device) if link < whole(device).model.nvlinks else refuse()


_MIGS: dict[str, list[MigDevice]] = {}


def migs_of(gpu: Gpu) -> list[MigDevice]:
    """The same objects each time: a handle stands for one of them."""
    return _MIGS.setdefault(gpu.uuid, [MigDevice(gpu, m, i) for i, m in enumerate(gpu.migs)])


def pci_info(gpu: Gpu) -> dict[str, Any]:
    ids = {"pciDeviceId": gpu.model.pci_device, "pciSubSystemId": gpu.model.pci_subsystem}
    return {"busIdLegacy": gpu.pci.upper(), "busId": gpu.bus_id, "domain": 0, "bus": gpu.bus, "device": 0, **ids}


def pci_info_ext(gpu: Gpu) -> dict[str, Any]:
    return {k: v for k, v in pci_info(gpu).items() if k != "busIdLegacy"} | {"baseClass": 3, "subClass": 2}


def nvswitch(link: int) -> dict[str, Any]:
    bus = 5 + link % 4
    short = f"{bus:02X}:00.0"
    return {"busIdLegacy": f"0000:{short}", "busId": f"00000000:{short}", "bus": bus, "pciDeviceId": 0x22A310DE}


def memory(device: Device) -> dict[str, int]:
    if isinstance(device, MigDevice):
        return {"total": device.mig.memory_mib * MIB, "used": 13 * MIB, "free": (device.mig.memory_mib - 13) * MIB}
    total, held = device.model.memory_mib, device.model.reserved_mib
    return {"total": total * MIB, "used": 0, "free": (total - held) * MIB}


def reserved(device: Device) -> int:
    return 0 if isinstance(device, MigDevice) else device.model.reserved_mib * MIB


def bar1(gpu: Gpu) -> dict[str, int]:
    total = gpu.model.bar1_mib * MIB
    return {"bar1Total": total, "bar1Used": MIB, "bar1Free": total - MIB}


def clock(clocks: tuple[int, int], kind: int) -> int:
    speeds = {GRAPHICS: clocks[0], SM: clocks[0], MEM: clocks[1], VIDEO: clocks[0] * 4 // 5}
    return speeds.get(kind) or refuse(INVALID_ARGUMENT)


def threshold(device: Device, kind: int) -> int:
    degrees = {0: 95, 1: 92, 2: 95, 3: 87}  # shutdown, slowdown, memory, GPU
    return degrees[kind] if whole(device) and kind in degrees else refuse()


def field_value(gpu: Gpu, number: int) -> dict[str, Any]:
    """Memory temperature, energy, power and the counters that stand for health; the rest is refused."""
    rows = (UNSIGNED, 0) if gpu.model.architecture >= AMPERE else None
    known = {
        82: (UNSIGNED, MEMORY_TEMPERATURE) if gpu.model.bus_width >= 4096 else None,  # HBM has a sensor of its own
        83: (LONG, ENERGY_MJ + gpu.index),
        **dict.fromkeys((142, 143, 144, 145), rows),  # remapped: correctable, uncorrectable, pending, failed
        185: (UNSIGNED, POWER_MW),  # average
        186: (UNSIGNED, POWER_MW),  # instant
        230: (UNSIGNED, 0),  # recovery action: none
    }
    if found := known.get(number):
        return {"valueType": found[0], "nvmlReturn": 0, "value": {"ullVal": found[1]}}
    return {"nvmlReturn": NOT_SUPPORTED}


def ancestor(a: Gpu, b: Gpu) -> int:
    if a is b:
        return SAME_BOARD
    return SAME_NODE if a.numa == b.numa else ACROSS


def nearest(gpus: tuple[Gpu, ...], gpu: Gpu, level: int) -> tuple[int, list[Gpu]]:
    found = [g for g in gpus if g is not gpu and ancestor(gpu, g) == level]
    return len(found), found


def peers(a: Gpu, b: Gpu, what: int) -> int:
    """The links go to NVSwitches, which join every GPU of the machine; 4 is access over PCIe alone."""
    return PEER if a is not b and a.model.nvlinks and what < 4 else NO_PEER


def attributes(m: Mig) -> dict[str, int]:
    slices = {"gpuInstanceSliceCount": m.slices, "computeInstanceSliceCount": m.slices}
    return {"multiprocessorCount": m.sms, "sharedCopyEngineCount": m.slices, "memorySizeMB": m.memory_mib, **slices}


def profile(device: Device, number: int) -> dict[str, Any]:
    if capable(device).model is not A100 or number not in A100_PROFILES:
        refuse()
    _, id_, slices, sms, mib, instances, _ = A100_PROFILES[number]
    counts = {"instanceCount": instances, "multiprocessorCount": sms, "copyEngineCount": slices}
    return {"id": id_, "sliceCount": slices, "memorySizeMB": mib, **counts}


def places_of(id_: int) -> list[tuple[int, int]]:
    """Start and size, in memory slices."""
    found = next((p for p in A100_PROFILES.values() if p[1] == id_), None)
    return found[6] if found else refuse(INVALID_ARGUMENT)


def slices_of(m: Mig) -> range:
    return range(m.start, m.start + places_of(m.profile_id)[0][1])


def remaining(gpu: Gpu, id_: int) -> int:
    free = set(range(8)) - {s for m in gpu.migs for s in slices_of(m)}
    return sum(set(range(start, start + size)) <= free for start, size in places_of(id_))


def placements(device: Device, id_: int, only_count: bool) -> Any:
    places = places_of(id_) if capable(device) else []
    return len(places) if only_count else ([{"start": start, "size": size} for start, size in places], len(places))


def gpu_instances(gpu: Gpu, id_: int) -> Any:
    found = [m.mig for m in migs_of(gpu) if m.mig.profile_id == id_]
    return found, len(found)


def instance_info(m: Mig) -> dict[str, Any]:
    return {"id": m.gi, "profileId": m.profile_id, "placement": {"start": m.start, "size": len(slices_of(m))}}
