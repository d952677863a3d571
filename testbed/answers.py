"""What NVML says about the machines of machines.py: one function of NVML, one line."""

from __future__ import annotations

from typing import Any

from testbed.fakenvml import INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, Answer, Refused
from testbed.machines import A100_PROFILES, CUDA, DRIVER, Gpu, Mig, MigDevice

MIB = 1 << 20
ECC_AND_XID = 0x1 | 0x2 | 0x8  # nvmlEventType: single bit ECC, double bit ECC, Xid
NOTHING_SET = 0x1  # nvmlClocksEventReasonGpuIdle
SWITCH = 0x2  # NVML_NVLINK_DEVICE_TYPE_SWITCH
GRAPHICS, SM, MEM, VIDEO = range(4)
UNSIGNED, LONG = 1, 3  # NVML_VALUE_TYPE_UNSIGNED_INT, _UNSIGNED_LONG_LONG
SAME_BOARD, SAME_NODE, ACROSS = 0, 40, 50  # NVML_TOPOLOGY_INTERNAL, _NODE, _SYSTEM
TEMPERATURE, MEMORY_TEMPERATURE, POWER_MW = 31, 39, 69_420
SAMPLING_US = 167_000
NO_PEER = 5  # NVML_P2P_STATUS_NOT_SUPPORTED
Device = Gpu | MigDevice


def answers(gpus: tuple[Gpu, ...]) -> dict[str, Answer]:
    """Answer by NVML function. An answer returns what the out arguments become, in order."""
    return {**system(gpus), **identity(gpus), **readings(), **health(), **links(), **mig()}


def system(gpus: tuple[Gpu, ...]) -> dict[str, Answer]:
    return {
        "nvmlSystemGetDriverVersion": lambda: DRIVER,
        "nvmlSystemGetNVMLVersion": lambda: f"13.{DRIVER}",
        "nvmlSystemGetCudaDriverVersion": lambda: CUDA,
        "nvmlSystemGetCudaDriverVersion_v2": lambda: CUDA,
        "nvmlSystemGetDriverBranch": lambda *_: {"branch": "r580_00"},
        "nvmlDeviceGetCount_v2": lambda: len(gpus),
        "nvmlDeviceGetHandleByIndex_v2": lambda i: gpus[i] if i < len(gpus) else refuse(INVALID_ARGUMENT),
        "nvmlDeviceGetHandleByUUID": lambda uuid: first(d for d in everything(gpus) if d.uuid == uuid.decode()),
        "nvmlDeviceGetHandleByPciBusId_v2": lambda pci: first(g for g in gpus if g.bus_id.endswith(pci.decode()[-10:])),
        "nvmlDeviceGetHandleBySerial": lambda serial: first(g for g in gpus if g.serial == serial.decode()),
        "nvmlDeviceGetTopologyCommonAncestor": lambda a, b: ancestor(a, b),
        "nvmlDeviceOnSameBoard": lambda a, b: int(a is b),
        "nvmlDeviceGetP2PStatus": lambda a, b, what: 0 if peers(a, b, what) else NO_PEER,
        "nvmlDeviceGetTopologyNearestGpus": lambda g, level, *_: nearest(gpus, g, level),
    }


def identity(gpus: tuple[Gpu, ...]) -> dict[str, Answer]:
    return {
        "nvmlDeviceGetName": name,
        "nvmlDeviceGetUUID": lambda d: d.uuid,
        "nvmlDeviceGetIndex": lambda d: d.index,
        "nvmlDeviceGetSerial": lambda d: whole(d).serial,
        "nvmlDeviceGetMinorNumber": lambda d: whole(d).index,
        "nvmlDeviceGetPciInfo_v3": lambda d: pci_info(whole(d)),
        "nvmlDeviceGetPciInfoExt": lambda d, *_: pci_info_ext(whole(d)),
        "nvmlDeviceGetBrand": lambda d: d.model.brand if isinstance(d, Gpu) else d.gpu.model.brand,
        "nvmlDeviceGetArchitecture": lambda d: owner(d).model.architecture,
        "nvmlDeviceGetCudaComputeCapability": lambda d: owner(d).model.compute,
        "nvmlDeviceGetNumGpuCores": lambda d: whole(d).model.cores,
        "nvmlDeviceGetMemoryBusWidth": lambda d: whole(d).model.bus_width,
        "nvmlDeviceGetBusType": always(2),
        "nvmlDeviceGetIrqNum": lambda d: 120 + whole(d).index,
        "nvmlDeviceGetBoardId": lambda d: whole(d).bus << 8,
        "nvmlDeviceGetBoardPartNumber": lambda d: whole(d).model.part,
        "nvmlDeviceGetVbiosVersion": lambda d: whole(d).model.vbios,
        "nvmlDeviceGetMultiGpuBoard": always(0),
        "nvmlDeviceGetModuleId": lambda d: whole(d).index + 1,
        "nvmlDeviceGetNumaNodeId": lambda d: whole(d).numa if whole(d).numa >= 0 else refuse(NOT_SUPPORTED),
        "nvmlDeviceGetMemoryAffinity": lambda d, *_: [1 << max(whole(d).numa, 0)],
        "nvmlDeviceGetGspFirmwareVersion": lambda d: DRIVER,
        "nvmlDeviceGetGspFirmwareMode": lambda d: (1, 1),
        "nvmlDeviceGetVirtualizationMode": lambda d: 0,
        "nvmlDeviceGetPersistenceMode": always(1),
        "nvmlDeviceGetDisplayMode": lambda d: 1,
        "nvmlDeviceGetDisplayActive": lambda d: 0,
        "nvmlDeviceGetComputeMode": lambda d: 0,
        "nvmlDeviceGetPowerSource": always(0),
        "nvmlDeviceGetSupportedEventTypes": always(ECC_AND_XID),
        "nvmlDeviceGetAttributes_v2": attributes,
    }


def readings() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetMemoryInfo": lambda d, *_: memory(d),
        "nvmlDeviceGetMemoryInfo_v2": lambda d, *_: {**memory(d), "reserved": reserved(d)},
        "nvmlDeviceGetBAR1MemoryInfo": lambda d: bar1(owner(d)),
        "nvmlDeviceGetPowerUsage": always(POWER_MW),
        "nvmlDeviceGetPowerManagementMode": always(1),
        "nvmlDeviceGetPowerManagementLimit": lambda d: whole(d).model.power_w * 1000,
        "nvmlDeviceGetPowerManagementDefaultLimit": lambda d: whole(d).model.power_w * 1000,
        "nvmlDeviceGetEnforcedPowerLimit": lambda d: whole(d).model.power_w * 1000,
        "nvmlDeviceGetPowerManagementLimitConstraints": lambda d: (whole(d).model.power_w * 250, d.model.power_w * 1000),
        "nvmlDeviceGetTotalEnergyConsumption": lambda d: 8_412_337_125 + whole(d).index,
        "nvmlDeviceGetTemperature": lambda d, sensor: TEMPERATURE if whole(d) and not sensor else refuse(INVALID_ARGUMENT),
        "nvmlDeviceGetTemperatureV": always({"temperature": TEMPERATURE}),
        "nvmlDeviceGetTemperatureThreshold": threshold,
        "nvmlDeviceGetClockInfo": lambda d, kind: clock(whole(d).model.idle_clocks, kind),
        "nvmlDeviceGetMaxClockInfo": lambda d, kind: clock(owner(d).model.clocks, kind),
        "nvmlDeviceGetUtilizationRates": always({"gpu": 0, "memory": 0}),
        "nvmlDeviceGetEncoderUtilization": always((0, SAMPLING_US)),
        "nvmlDeviceGetDecoderUtilization": always((0, SAMPLING_US)),
        "nvmlDeviceGetPerformanceState": always(0),
        "nvmlDeviceGetPowerState": always(0),
        "nvmlDeviceGetCurrentClocksEventReasons": always(NOTHING_SET),
        "nvmlDeviceGetCurrentClocksThrottleReasons": always(NOTHING_SET),
        "nvmlDeviceGetSupportedClocksEventReasons": always(0x1FF),
        "nvmlDeviceGetSupportedClocksThrottleReasons": always(0x1FF),
        "nvmlDeviceGetPcieReplayCounter": always(0),
        "nvmlDeviceGetPcieThroughput": lambda d, counter: (412, 736)[counter] if whole(d) else None,
        "nvmlDeviceGetCurrPcieLinkGeneration": lambda d: whole(d).model.pcie[0],
        "nvmlDeviceGetMaxPcieLinkGeneration": lambda d: whole(d).model.pcie[0],
        "nvmlDeviceGetGpuMaxPcieLinkGeneration": lambda d: whole(d).model.pcie[0],
        "nvmlDeviceGetCurrPcieLinkWidth": lambda d: whole(d).model.pcie[1],
        "nvmlDeviceGetMaxPcieLinkWidth": lambda d: whole(d).model.pcie[1],
        "nvmlDeviceGetFieldValues": lambda d, _count, asked: [field_value(whole(d), f.fieldId) for f in asked],
        "nvmlDeviceGetComputeRunningProcesses_v3": lambda d, *_: 0,
        "nvmlDeviceGetComputeRunningProcesses_v2": lambda d, *_: 0,
        "nvmlDeviceGetGraphicsRunningProcesses_v3": lambda d, *_: 0,
        "nvmlDeviceGetMPSComputeRunningProcesses_v3": lambda d, *_: 0,
    }


def health() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetEccMode": always((1, 1)),
        "nvmlDeviceGetDefaultEccMode": always(1),
        "nvmlDeviceGetTotalEccErrors": lambda d, *_: 0,
        "nvmlDeviceGetMemoryErrorCounter": lambda d, kind, span, place: 0 if place in (2, 7) else refuse(NOT_SUPPORTED),
        "nvmlDeviceGetRetiredPages": lambda d, *_: remaps(d) and 0,
        "nvmlDeviceGetRetiredPages_v2": lambda d, *_: remaps(d) and 0,
        "nvmlDeviceGetRetiredPagesPendingStatus": lambda d: remaps(d) and 0,
        "nvmlDeviceGetRemappedRows": lambda d: (0, 0, 0, 0) if not remaps(d, rows=True) else None,
        "nvmlDeviceGetRowRemapperHistogram": lambda d: {"max": 640} if not remaps(d, rows=True) else None,
        "nvmlDeviceGetSramEccErrorStatus": lambda d, *_: {} if whole(d).model.architecture >= 8 else refuse(NOT_SUPPORTED),
    }


def links() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetNvLinkState": lambda d, link: linked(d, link) and 1,
        "nvmlDeviceGetNvLinkVersion": lambda d, link: linked(d, link).model.nvlink_version,
        "nvmlDeviceGetNvLinkRemoteDeviceType": lambda d, link: linked(d, link) and SWITCH,
        "nvmlDeviceGetNvLinkRemotePciInfo_v2": lambda d, link: linked(d, link) and nvswitch(link),
        "nvmlDeviceGetNvLinkCapability": lambda d, link, what: int(bool(linked(d, link)) and what in (0, 1, 2, 3, 5)),
        "nvmlDeviceGetNvLinkErrorCounter": lambda d, link, _counter: 0 if linked(d, link) else None,
        "nvmlDeviceGetGpuFabricInfoV": lambda d, *_: {"state": 3 if linked(d, 0) else 1, "status": 0},
    }


def mig() -> dict[str, Answer]:
    return {
        "nvmlDeviceGetMigMode": lambda d: (int(capable(d).mig_enabled),) * 2,
        "nvmlDeviceIsMigDeviceHandle": lambda d: int(isinstance(d, MigDevice)),
        "nvmlDeviceGetMaxMigDeviceCount": lambda d: 7 if isinstance(d, Gpu) and d.model.mig_capable else 0,
        "nvmlDeviceGetMigDeviceHandleByIndex": lambda d, i: first(m for m in migs_of(d) if m.index == i),
        "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": lambda d: d.gpu if isinstance(d, MigDevice) else refuse(INVALID_ARGUMENT),
        "nvmlDeviceGetGpuInstanceId": lambda d: d.mig.gi if isinstance(d, MigDevice) else refuse(NOT_SUPPORTED),
        "nvmlDeviceGetComputeInstanceId": lambda d: d.mig.ci if isinstance(d, MigDevice) else refuse(NOT_SUPPORTED),
        "nvmlDeviceGetGpuInstanceProfileInfo": lambda d, p, *_: profile(d, p),
        "nvmlDeviceGetGpuInstanceProfileInfoV": lambda d, p, *_: {**profile(d, p), "name": f"MIG {A100_PROFILES[p][0]}"},
        "nvmlDeviceGetGpuInstanceRemainingCapacity": lambda d, p: remaining(capable(d), p),
        "nvmlDeviceGetGpuInstancePossiblePlacements_v2": lambda d, p, *given: placements(d, p, None in given),
        "nvmlDeviceGetGpuInstances": lambda d, p, *_: gpu_instances(capable(d), p),
        "nvmlGpuInstanceGetInfo": instance_info,
    }


def always(value: Any) -> Answer:
    """The same for every GPU, refused for a MIG device."""
    return lambda device, *_: whole(device) and value


def refuse(code: int, *filled: Any) -> Any:
    raise Refused(code, *filled)


def first(found: Any) -> Any:
    return next(found, None) or refuse(NOT_FOUND)


def owner(device: Device) -> Gpu:
    return device.gpu if isinstance(device, MigDevice) else device


def whole(device: Device) -> Gpu:
    """What NVML answers for a GPU and refuses for a MIG device."""
    return device if isinstance(device, Gpu) else refuse(NOT_SUPPORTED)


def capable(device: Device) -> Gpu:
    return whole(device) if whole(device).model.mig_capable else refuse(NOT_SUPPORTED)


def remaps(device: Device, rows: bool = False) -> Any:
    """Ampere and later remap rows, before that pages are retired; the other question is refused. Something true, unless `rows`."""
    by_row = whole(device).model.architecture >= 7
    if by_row is not rows:
        refuse(NOT_SUPPORTED)
    return not rows


def linked(device: Device, link: int) -> Gpu:
    return whole(device) if link < whole(device).model.nvlinks else refuse(NOT_SUPPORTED)


def everything(gpus: tuple[Gpu, ...]) -> list[Device]:
    return [*gpus, *(m for g in gpus for m in migs_of(g))]


_MIGS: dict[str, list[MigDevice]] = {}


def migs_of(gpu: Gpu) -> list[MigDevice]:
    """The same objects each time: a handle stands for one of them."""
    return _MIGS.setdefault(gpu.uuid, [MigDevice(gpu, m, i) for i, m in enumerate(gpu.migs)])


def name(device: Device) -> str:
    if isinstance(device, MigDevice):
        return f"{device.gpu.model.name} MIG {device.mig.profile}"
    return device.model.name


def pci_info(gpu: Gpu) -> dict[str, Any]:
    numbers = {"domain": 0, "bus": gpu.bus, "device": 0}
    ids = {"pciDeviceId": gpu.model.pci_device, "pciSubSystemId": gpu.model.pci_subsystem}
    return {"busIdLegacy": gpu.pci.upper(), "busId": gpu.bus_id, **numbers, **ids}


def pci_info_ext(gpu: Gpu) -> dict[str, Any]:
    return {k: v for k, v in pci_info(gpu).items() if k != "busIdLegacy"} | {"baseClass": 3, "subClass": 2}


def nvswitch(link: int) -> dict[str, Any]:
    bus = 5 + link % 4
    return {"busIdLegacy": f"0000:{bus:02X}:00.0", "busId": f"00000000:{bus:02X}:00.0", "bus": bus, "pciDeviceId": 0x22A310DE}


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
    return {GRAPHICS: clocks[0], SM: clocks[0], MEM: clocks[1], VIDEO: clocks[0] * 4 // 5}.get(kind) or refuse(INVALID_ARGUMENT)


def threshold(device: Device, kind: int) -> int:
    degrees = {0: 95, 1: 92, 2: 95, 3: 87}
    return degrees[kind] if whole(device) and kind in degrees else refuse(NOT_SUPPORTED)


def field_value(gpu: Gpu, field: int) -> dict[str, Any]:
    """Memory temperature, energy, power and the counters that stand for health; the rest is refused, as on a GPU that lacks it."""
    hot = gpu.model.bus_width >= 4096  # HBM has a sensor of its own
    known = {
        82: (UNSIGNED, MEMORY_TEMPERATURE) if hot else None,
        83: (LONG, 8_412_337_125 + gpu.index),
        142: (UNSIGNED, 0) if gpu.model.architecture >= 7 else None,  # remapped rows: correctable
        143: (UNSIGNED, 0) if gpu.model.architecture >= 7 else None,  # uncorrectable
        144: (UNSIGNED, 0) if gpu.model.architecture >= 7 else None,  # pending
        145: (UNSIGNED, 0) if gpu.model.architecture >= 7 else None,  # failed
        185: (UNSIGNED, POWER_MW),
        186: (UNSIGNED, POWER_MW),
        230: (UNSIGNED, 0),  # recovery action: none
    }
    if found := known.get(field):
        return {"valueType": found[0], "nvmlReturn": 0, "value": {"ullVal": found[1]}}
    return {"nvmlReturn": NOT_SUPPORTED}


def ancestor(a: Gpu, b: Gpu) -> int:
    if a is b:
        return SAME_BOARD
    return SAME_NODE if a.numa == b.numa else ACROSS


def nearest(gpus: tuple[Gpu, ...], gpu: Gpu, level: int) -> tuple[int, list[Gpu]]:
    found = [g for g in gpus if g is not gpu and ancestor(gpu, g) == level]
    return len(found), found


def peers(a: Gpu, b: Gpu, what: int) -> bool:
    """All links go to the NVSwitches, which join every GPU of the machine; what 4 is peer access over PCIe alone."""
    return a is not b and bool(a.model.nvlinks) and what < 4


def attributes(device: Device) -> dict[str, int]:
    m = device.mig if isinstance(device, MigDevice) else refuse(INVALID_ARGUMENT)
    slices = {"gpuInstanceSliceCount": m.slices, "computeInstanceSliceCount": m.slices}
    return {"multiprocessorCount": m.sms, "sharedCopyEngineCount": m.slices, "memorySizeMB": m.memory_mib, **slices}


def profile(device: Device, number: int) -> dict[str, int]:
    if capable(device).model.name not in ("NVIDIA A100-SXM4-40GB",) or number not in A100_PROFILES:
        refuse(NOT_SUPPORTED)
    _, id_, slices, sms, mib, instances, _ = A100_PROFILES[number]
    counts = {"instanceCount": instances, "multiprocessorCount": sms, "copyEngineCount": slices}
    return {"id": id_, "sliceCount": slices, "memorySizeMB": mib, **counts}


def profile_of(id_: int) -> tuple[str, int, int, int, int, int, list[tuple[int, int]]]:
    return next((p for p in A100_PROFILES.values() if p[1] == id_), None) or refuse(INVALID_ARGUMENT)


def remaining(gpu: Gpu, id_: int) -> int:
    free = set(range(8)) - {s for m in gpu.migs for s in range(m.start, m.start + width(m))}
    return sum(set(range(start, start + size)) <= free for start, size in profile_of(id_)[6])


def width(m: Mig) -> int:
    """Memory slices, of eight: that of the profile's placements."""
    return profile_of(m.profile_id)[6][0][1]


def placements(device: Device, id_: int, only_count: bool) -> Any:
    places = profile_of(id_)[6] if capable(device) else []
    return len(places) if only_count else ([{"start": start, "size": size} for start, size in places], len(places))


def gpu_instances(gpu: Gpu, id_: int) -> Any:
    found = [m.mig for m in migs_of(gpu) if m.mig.profile_id == id_]
    return found, len(found)


def instance_info(m: Mig) -> dict[str, Any]:
    return {"id": m.gi, "profileId": m.profile_id, "placement": {"start": m.start, "size": width(m)}}
