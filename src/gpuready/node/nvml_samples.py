"""Metric values of one GPU from NVML, under dcgm-exporter's names. What a GPU does not support gives no value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pynvml

from gpuready.node.gpus import Number

MIB = 1024 * 1024


def read(handle: Any) -> dict[str, Number]:
    values: dict[str, Number] = {}
    for reader in READERS:
        try:
            values.update(reader(handle))
        except pynvml.NVMLError:
            continue  # not supported by this GPU, or lost just now: no series, never a number that stands for "none"
    return values


def _one(name: str, call: Callable[[Any], Number]) -> Callable[[Any], Iterator[tuple[str, Number]]]:
    def reader(handle: Any) -> Iterator[tuple[str, Number]]:
        yield name, call(handle)

    return reader


def _utilisation(handle: Any) -> Iterator[tuple[str, Number]]:
    rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
    yield "GPU_UTIL", int(rates.gpu)
    yield "MEM_COPY_UTIL", int(rates.memory)


def _memory(handle: Any) -> Iterator[tuple[str, Number]]:
    """`used` of the second version leaves out what the driver reserves, as DCGM's FB_USED does."""
    try:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)
        yield "FB_RESERVED", int(info.reserved) // MIB
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    yield "FB_FREE", int(info.free) // MIB
    yield "FB_USED", int(info.used) // MIB


def _remapped(handle: Any) -> Iterator[tuple[str, Number]]:
    correctable, uncorrectable, _pending, failure = pynvml.nvmlDeviceGetRemappedRows(handle)
    yield "UNCORRECTABLE_REMAPPED_ROWS", int(uncorrectable)
    yield "CORRECTABLE_REMAPPED_ROWS", int(correctable)
    yield "ROW_REMAP_FAILURE", int(failure)


def _licence(handle: Any) -> Iterator[tuple[str, Number]]:
    features = pynvml.nvmlDeviceGetGridLicensableFeatures(handle)
    count = features.licensableFeaturesCount if features.isGridLicenseSupported else 0
    listed = features.gridLicensableFeatures[:count]
    yield "VGPU_LICENSE_STATUS", int(any(feature.featureState for feature in listed))


def _memory_temperature(handle: Any) -> Number:
    value = pynvml.nvmlDeviceGetFieldValues(handle, [pynvml.NVML_FI_DEV_MEMORY_TEMP])[0]
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    return int(value.value.uiVal)


READERS: tuple[Callable[[Any], Iterator[tuple[str, Number]]], ...] = (
    _one("SM_CLOCK", lambda h: int(pynvml.nvmlDeviceGetClockInfo(h, pynvml.NVML_CLOCK_SM))),
    _one("MEM_CLOCK", lambda h: int(pynvml.nvmlDeviceGetClockInfo(h, pynvml.NVML_CLOCK_MEM))),
    _one("MEMORY_TEMP", _memory_temperature),
    _one("GPU_TEMP", lambda h: int(pynvml.nvmlDeviceGetTemperature(h, pynvml.NVML_TEMPERATURE_GPU))),
    _one("POWER_USAGE", lambda h: float(pynvml.nvmlDeviceGetPowerUsage(h)) / 1000),
    _one("TOTAL_ENERGY_CONSUMPTION", lambda h: int(pynvml.nvmlDeviceGetTotalEnergyConsumption(h))),
    _one("PCIE_REPLAY_COUNTER", lambda h: int(pynvml.nvmlDeviceGetPcieReplayCounter(h))),
    _utilisation,
    _one("ENC_UTIL", lambda h: int(pynvml.nvmlDeviceGetEncoderUtilization(h)[0])),
    _one("DEC_UTIL", lambda h: int(pynvml.nvmlDeviceGetDecoderUtilization(h)[0])),
    _memory,
    _licence,
    _remapped,
)
