"""Generated gRPC code of the kubelet's APIs.

Regenerate from src/, with grpcio-tools 1.72 (its output loads on protobuf 6.30 and later, without a warning on 7) and
grpclib installed; then put `# ruff: noqa` on top of the .pyi files and format them:

    python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpclib_python_out=. gpuready/node/rpc/*.proto
"""
