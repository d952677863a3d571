/* A driver library of which only the presence matters (libnvidia-ptxjitcompiler.so.1 and the like). */
__attribute__((visibility("default"))) const char *const gpuready_replay = "replayed capture " CAPTURE_NAME;
