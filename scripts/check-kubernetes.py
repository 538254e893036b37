"""Checks built manifests: each against its schema, and that they are consistent. Run by scripts/check-kubernetes."""

import sys

import kubernetes_validate
import yaml

VERSIONS = ["1.29", "1.37"]
# Defined by the Prometheus operator, so Kubernetes has no schema for it.
FOREIGN = {"ServiceMonitor"}
# Seconds that the daemon takes at most from SIGTERM to its end.
STOPS_WITHIN = 10
# The memory that a first sync needs (docs/operations.md, Install).
MEMORY_MIB = 160


def schema_faults(manifests):
    for manifest in manifests:
        if manifest["kind"] in FOREIGN:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except Exception as fault:
                yield f"{manifest['kind']}, Kubernetes {version}: {fault}"


def misfits(kinds):
    """Pairs of a rule in words and whether it holds."""
    deployment, service = kinds["Deployment"]["spec"], kinds["Service"]["spec"]
    pod = deployment["template"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    container = pod["containers"][0]
    port = container["ports"][0]
    policy = kinds["NetworkPolicy"]["spec"]
    yield "several replicas", deployment["replicas"] >= 2
    selectors = {
        "Deployment": deployment["selector"]["matchLabels"],
        "Service": service["selector"],
        "PodDisruptionBudget": kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": policy["podSelector"]["matchLabels"],
        "topologySpreadConstraints": pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    }
    for name, selector in selectors.items():
        yield f"{name} selects the pods", selector and selector.items() <= labels.items()
    monitor = kinds["ServiceMonitor"]
    yield "the ServiceMonitor selects the Service", (
        monitor["apiVersion"] == "monitoring.coreos.com/v1"
        and monitor["spec"]["selector"]["matchLabels"].items() <= kinds["Service"]["metadata"]["labels"].items()
    )
    endpoint = monitor["spec"]["endpoints"][0]
    yield "the ServiceMonitor names the Service's port", endpoint["port"] == service["ports"][0]["name"]
    yield "it scrapes /metrics", endpoint["path"] == "/metrics"
    # Alerts select this job; it is the Service's name unless jobLabel says otherwise.
    yield "the job is cdr-sync", kinds["Service"]["metadata"]["name"] == "cdr-sync" and "jobLabel" not in monitor["spec"]
    yield "the Service names the container's port", service["ports"][0]["targetPort"] == port["name"]

    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    yield "probes ask the container's port", all(probe["port"] == port["name"] for probe in probes.values())
    # An unreachable database must not cause a restart.
    paths = {name: probe["path"] for name, probe in probes.items()}
    yield "the right probe for each purpose", paths == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    yield "enough time to end before it is killed", pod["terminationGracePeriodSeconds"] > STOPS_WITHIN
    memory = container["resources"]["limits"]["memory"]
    yield "memory for a first sync", memory.endswith("Mi") and int(memory[:-2]) >= 2 * MEMORY_MIB

    # Pod Security Standards, restricted.
    user, own = pod["securityContext"], container["securityContext"]
    yield "not root", user["runAsNonRoot"] is True and user["runAsUser"] == 65532
    yield "seccomp", user["seccompProfile"]["type"] == "RuntimeDefault"
    yield "a read-only root", own["readOnlyRootFilesystem"] is True
    yield "no capabilities", own["capabilities"]["drop"] == ["ALL"] and "add" not in own["capabilities"]
    yield "no escalation", own["allowPrivilegeEscalation"] is False
    yield "no token", pod["automountServiceAccountToken"] is False

    yield "both directions are limited", sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    sources = [source for rule in policy["ingress"] for source in rule["from"]]
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    yield "only the namespace monitoring may connect", sources == [{"namespaceSelector": namespace}]
    inward = [entry["port"] for rule in policy["ingress"] for entry in rule["ports"]]
    yield "only to the http port", inward == [port["name"]]
    outward = {(entry["protocol"], entry["port"]) for rule in policy["egress"] for entry in rule["ports"]}
    yield "only DNS, database and API are reachable", outward == {("UDP", 53), ("TCP", 53), ("TCP", 5432), ("TCP", 443)}

    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    yield "the configuration is mounted", volumes["config"]["configMap"]["name"] == kinds["ConfigMap"]["metadata"]["name"]
    # Only referenced: the operator creates it.
    yield "no Secret in the manifests", "Secret" not in kinds and volumes["secrets"]["secret"]["secretName"] == "cdr-sync"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    files = [entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")]
    yield "secrets are files in their mount", files and all(file.startswith(mounts["secrets"] + "/") for file in files)
    yield "no secret in a variable", all(entry["name"].endswith("_FILE") for entry in container["env"])


def main():
    with open(sys.argv[1]) as file:
        manifests = [manifest for manifest in yaml.safe_load_all(file) if manifest]
    kinds = {manifest["kind"]: manifest for manifest in manifests}
    faults = list(schema_faults(manifests))
    faults += [f"does not hold: {rule}" for rule, holds in misfits(kinds) if not holds]
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"{len(manifests)} manifests, Kubernetes {' and '.join(VERSIONS)}")


main()
