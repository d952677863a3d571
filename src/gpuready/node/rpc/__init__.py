"""Generated gRPC code of the kubelet's APIs.

Regenerate, from src/ with grpcio-tools 1.72 (its output loads on protobuf >= 6.30) and grpclib installed:

    python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpclib_python_out=. gpuready/node/rpc/*.proto
"""
