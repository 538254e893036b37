"""Checks built manifests: each against its schema, and that they are consistent. Run by check-kubernetes and check-helm.

check-kubernetes.py [--monitoring LABEL=VALUE] [--openshift] [--schemas] FILE
    --monitoring    with ServiceMonitor and PrometheusRule, which have this label
    --openshift     for OpenShift, which chooses user and group
    --schemas       only the schemas: the values of a chart may change anything else
"""

import argparse
import re

import kubernetes_validate
import yaml

VERSIONS = ["1.29", "1.37"]
# Defined by the Prometheus operator, so Kubernetes has no schema for them.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
DNS = {("UDP", 53), ("TCP", 53)}
OPENSHIFT_DNS = {("UDP", 5353), ("TCP", 5353)}
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


def monitoring_misfits(kinds, label):
    name, value = label.split("=")
    monitor, service, rule = kinds["ServiceMonitor"], kinds["Service"], kinds["PrometheusRule"]
    yield "the ServiceMonitor selects the Service", (
        monitor["apiVersion"] == "monitoring.coreos.com/v1"
        and monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    yield "the ServiceMonitor has a label to be selected by", name in monitor["metadata"]["labels"]
    endpoint = monitor["spec"]["endpoints"][0]
    yield "the ServiceMonitor names the Service's port", endpoint["port"] == service["spec"]["ports"][0]["name"]
    yield "it scrapes /metrics", endpoint["path"] == "/metrics"
    # Alerts select this job, whatever the Service's name is.
    yield "the job is cdr-sync", service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "cdr-sync"
    yield "the PrometheusRule has its label", rule["metadata"]["labels"][name] == value
    with open("deploy/prometheus/alerts.yml") as file:
        yield "the PrometheusRule is alerts.yml", rule["spec"] == yaml.safe_load(file)


def egress(policy):
    """Of each peer of the policy, the ports that may be reached."""
    allowed = {}
    for rule in policy["egress"]:
        ports = {(entry["protocol"], entry["port"]) for entry in rule["ports"]}
        for peer in rule.get("to", ["anywhere"]):
            if peer != "anywhere":
                [kind] = peer
                peer = peer[kind].get("cidr") or peer[kind]["matchLabels"]["kubernetes.io/metadata.name"]
            allowed.setdefault(peer, set()).update(ports)
    return allowed


def version():
    with open("Cargo.toml") as file:
        return re.search(r'^version = "(.*)"', file.read(), re.MULTILINE)[1]


def misfits(kinds, openshift):
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
    yield "not root", user["runAsNonRoot"] is True and user.get("runAsUser") == (None if openshift else 65532)
    yield "a group that may read the secrets", user.get("fsGroup") == (None if openshift else 65532)
    yield "seccomp", user["seccompProfile"]["type"] == "RuntimeDefault"
    yield "a read-only root", own["readOnlyRootFilesystem"] is True
    yield "no capabilities", own["capabilities"]["drop"] == ["ALL"] and "add" not in own["capabilities"]
    yield "no escalation", own["allowPrivilegeEscalation"] is False
    yield "no token", pod["automountServiceAccountToken"] is False

    yield "both directions are limited", sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    sources = [source for rule in policy["ingress"] for source in rule["from"]]
    prometheus = "openshift-user-workload-monitoring" if openshift else "monitoring"
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": prometheus}}
    yield f"only the namespace {prometheus} may connect", sources == [{"namespaceSelector": namespace}]
    inward = [entry["port"] for rule in policy["ingress"] for entry in rule["ports"]]
    yield "only to the http port", inward == [port["name"]]
    # NodeLocal DNSCache is no pod of kube-system to a policy, and OpenShift's DNS listens on another port.
    yield "only DNS, database and API are reachable", egress(policy) == {
        "kube-system": DNS,
        "169.254.20.10/32": DNS,
        "openshift-dns": OPENSHIFT_DNS,
        "anywhere": {("TCP", 5432), ("TCP", 443)},
    }

    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    config = kinds["ConfigMap"]
    yield "the configuration is mounted", volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    annotations = deployment["template"]["metadata"].get("annotations", {})
    yield "a changed configuration replaces the pods", (
        re.fullmatch("cdr-sync-[a-z0-9]{10}", config["metadata"]["name"]) or "checksum/config" in annotations
    )
    yield "the image is that of this version", container["image"].endswith(f":{version()}")
    # Only referenced: the operator creates it.
    yield "no Secret in the manifests", "Secret" not in kinds and volumes["secrets"]["secret"]["secretName"] == "cdr-sync"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    files = [entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")]
    yield "secrets are files in their mount", files and all(file.startswith(mounts["secrets"] + "/") for file in files)
    yield "no secret in a variable", all(entry["name"].endswith("_FILE") for entry in container["env"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--monitoring", metavar="LABEL=VALUE")
    parser.add_argument("--openshift", action="store_true")
    parser.add_argument("--schemas", action="store_true")
    parser.add_argument("file")
    wanted = parser.parse_args()
    with open(wanted.file) as file:
        manifests = [manifest for manifest in yaml.safe_load_all(file) if manifest]
    kinds = {manifest["kind"]: manifest for manifest in manifests}
    faults = list(schema_faults(manifests))
    if not wanted.schemas:
        rules = list(misfits(kinds, wanted.openshift))
        rules.append(("nothing that needs the Prometheus operator", wanted.monitoring or not FOREIGN & kinds.keys()))
        if wanted.monitoring:
            rules += monitoring_misfits(kinds, wanted.monitoring)
        faults += [f"does not hold: {rule}" for rule, holds in rules if not holds]
    if faults:
        raise SystemExit("\n".join(faults))
    print(f"{len(manifests)} manifests, Kubernetes {' and '.join(VERSIONS)}")


main()
