"""gpuready: from bare NVIDIA GPU nodes to GPUs that pods can use."""

__version__ = "0.1.0"
