"""Names that the whole product shares: our namespace, labels, field managers."""

NAMESPACE = "gpuready-system"
MANAGER = "gpuready"  # field manager of the CLI
AGENT_MANAGER = "gpuready-agent"  # field manager of the node agent
AGENT = "gpuready-agent"
AGENT_LABEL = "gpuready.dev/agent"  # on nodes: which agent DaemonSet runs there
CONDITION = "gpuready.dev/GPUHealthy"
RESOURCE = "nvidia.com/gpu"
RUN_LABEL = "gpuready.dev/run"
CREATED = "gpuready.dev/created"  # annotation: the run that created an object which may also be made by hand
MANAGED_BY = {"app.kubernetes.io/managed-by": "gpuready"}
TEMPLATE_LABEL = "gpuready.dev/template"  # on agent pods: digest of the pod spec that they were made from
RESTART_RUNTIME = "restart-runtime"  # consent
AGENT_EVENTS = "gpuready.dev/agent"  # reportingController of the agent's events
