"""Checks what the chart renders: with its default values the same as the kustomize base, and what each value changes.
Run by scripts/check-helm.

check-helm.py CHART BASE    an archive made by `helm package`, and the built deploy/kubernetes
"""

import json
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

CHART, BASE = sys.argv[1:]
SECRET = {"existingSecret": "cdr-sync"}
# What Helm's conventions add; kustomize's hash in the ConfigMap's name and the checksum have the same purpose.
OF_HELM = {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}
OF_HELM |= {"app.kubernetes.io/part-of", "checksum/config"}
DIGEST = "sha256:" + "0123456789abcdef" * 4

faults = []


def helm(values, release="cdr-sync"):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        command = ["helm", "template", release, CHART, "--namespace", "calls", "--values", file.name]
        return subprocess.run(command, capture_output=True, text=True)


def render(values, release="cdr-sync"):
    """The manifests by kind, each of them valid."""
    rendered = helm(SECRET | values, release)
    if rendered.returncode:
        raise SystemExit(f"{values}: {rendered.stderr}")
    manifests = [manifest for manifest in yaml.safe_load_all(rendered.stdout) if manifest]
    for manifest in manifests:
        if not manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(manifest, "1.37", strict=True)
    return {manifest["kind"]: manifest for manifest in manifests}


def expect(what, holds):
    if not holds:
        faults.append(f"does not hold: {what}")


def substance(value, config):
    """Without what Helm's conventions add, and with the ConfigMap under its plain name."""
    if isinstance(value, dict):
        plain = {key: substance(inner, config) for key, inner in value.items() if key not in OF_HELM}
        return {key: inner for key, inner in plain.items() if not (key == "annotations" and inner == {})}
    if isinstance(value, list):
        return [substance(inner, config) for inner in value]
    return "cdr-sync" if value == config else value


def same_as_base(chart):
    with open(BASE) as file:
        base = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(file) if manifest}
    expect("the kinds are those of the base", chart.keys() == base.keys())
    config = base["ConfigMap"]["metadata"]["name"]
    for kind in sorted(chart.keys() & base.keys()):
        ours, theirs = substance(chart[kind], config), substance(base[kind], config)
        expect(f"{kind} is that of the base:\n  chart {json.dumps(ours)}\n  base  {json.dumps(theirs)}", ours == theirs)


def pod(kinds):
    return kinds["Deployment"]["spec"]["template"]["spec"]


def container(kinds):
    return pod(kinds)["containers"][0]


def each_value_counts(plain):
    image = {"repository": "registry.example.com/cdr-sync", "tag": "1.2.3", "pullSecrets": [{"name": "registry"}]}
    other = render({"image": image})
    expect("repository and tag", container(other)["image"] == "registry.example.com/cdr-sync:1.2.3")
    expect("pull secrets", pod(other)["imagePullSecrets"] == [{"name": "registry"}])
    other = render({"image": image | {"digest": DIGEST}})
    expect("a digest counts, not the tag", container(other)["image"] == f"registry.example.com/cdr-sync@{DIGEST}")

    for credential in ("code", "token"):
        variables = {entry["name"]: entry.get("value") for entry in container(render({"credential": credential}))["env"]}
        expect(f"credential {credential}", variables == {
            "DATABASE_URL_FILE": "/run/secrets/cdr-sync/database-url",
            f"VOICENTER_{credential.upper()}_FILE": f"/run/secrets/cdr-sync/voicenter-{credential}",
        })
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}
    variables = container(render({"credential": "none", "env": [proxy]}))["env"]
    expect("several accounts and a proxy", [entry["name"] for entry in variables] == ["DATABASE_URL_FILE", "HTTPS_PROXY"])
    secret = pod(render({"existingSecret": "mine"}))["volumes"][1]["secret"]["secretName"]
    expect("the Secret's name", secret == "mine")

    placed = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "calls", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    }
    other = render(placed)
    expect("where the pods run", {key: pod(other)[key] for key in placed} == placed)
    other = render({"replicas": 3, "resources": {"limits": {"memory": "2Gi"}}, "podAnnotations": {"team": "bi"}})
    expect("replicas", other["Deployment"]["spec"]["replicas"] == 3)
    expect("resources", container(other)["resources"]["limits"]["memory"] == "2Gi")
    expect("annotations", other["Deployment"]["spec"]["template"]["metadata"]["annotations"]["team"] == "bi")

    def checksum(kinds):
        return kinds["Deployment"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    changed = render({"config": 'a = "{{ b }}"\n'})
    expect("the configuration is taken as it is", changed["ConfigMap"]["data"]["config.toml"] == 'a = "{{ b }}"\n')
    expect("a changed configuration replaces the pods", checksum(changed) != checksum(plain))
    expect("anything else does not by its checksum", checksum(other) == checksum(plain))

    expect("no NetworkPolicy", "NetworkPolicy" not in render({"networkPolicy": {"enabled": False}}))
    expect("no PodDisruptionBudget", "PodDisruptionBudget" not in render({"podDisruptionBudget": {"enabled": False}}))
    rule = {"to": [{"ipBlock": {"cidr": "10.0.0.8/32"}}], "ports": [{"protocol": "TCP", "port": 3128}]}
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    policy = render({"networkPolicy": {"extraEgress": [rule], "extraIngressFrom": [peer]}})["NetworkPolicy"]["spec"]
    before = plain["NetworkPolicy"]["spec"]
    expect("extra egress", policy["egress"] == [*before["egress"], rule])
    expect("extra ingress", policy["ingress"][0]["from"] == [*before["ingress"][0]["from"], peer])
    expect("no Prometheus operator needed", not {"ServiceMonitor", "PrometheusRule"} & plain.keys())

    # Links of alerts lead to the page. Everything else is as in alerts.yml.
    with open("deploy/prometheus/alerts.yml") as file:
        alerts = file.read()
    own = "{{ with $externalLabels.cdr_sync }}{{ . }}{{ else }}http://127.0.0.1:8080{{ end }}"
    for url in ("", "https://calls.example.com/mirror", "https://{{ $labels.service }}.{{ $labels.namespace }}.example.com"):
        rule = render({"prometheusRule": {"enabled": True, "pageUrl": url}})["PrometheusRule"]
        expected = yaml.safe_load(alerts.replace(own, url) if url else alerts)
        expect(f"links lead to pageUrl {url!r}", rule["spec"] == expected)
        links = {entry["annotations"]["runbook_url"].split("/docs/")[0] for entry in rule["spec"]["groups"][0]["rules"]}
        expect(f"every link of pageUrl {url!r}", links == {url or own})

    # Two releases in one namespace do not meet.
    first, second = render({}, "sales"), render({}, "support")
    expect("names of their own", first["Deployment"]["metadata"]["name"] == "sales-cdr-sync")
    labels = second["Deployment"]["spec"]["template"]["metadata"]["labels"]
    expect("selectors of their own", not first["Service"]["spec"]["selector"].items() <= labels.items())


def wrong_values_are_refused():
    missing = helm({})
    expect("without existingSecret it says what to do", missing.returncode and "create secret generic" in missing.stderr)
    wrong = [
        {"nonsense": 1},
        {"image": {"tagg": "1"}},
        {"image": {"digest": "sha256:12"}},
        {"image": {"repository": ""}},
        {"networkPolicy": {"enable": False}},
        {"serviceMonitor": {"enabled": "yes"}},
        {"prometheusRule": {"rules": []}},
        {"prometheusRule": {"pageUrl": "calls.example.com"}},
        {"prometheusRule": {"pageUrl": "https://calls.example.com/"}},
        {"prometheusRule": {"pageUrl": "https://it's.example.com"}},
        {"podDisruptionBudget": {"minAvailable": 1}},
        {"credential": "password"},
        {"replicas": 0},
        {"replicas": "2"},
        {"config": {"http": {}}},
        {"resources": {"limit": {}}},
        # Secrets have no place in values.
        {"databaseUrl": "postgres://"},
        {"voicenterCode": "x"},
    ]
    for values in wrong:
        refused = helm(SECRET | values)
        [key] = values
        expect(f"{values} is refused, by name", refused.returncode and key in refused.stderr and "schema" in refused.stderr)


plain = render({})
expect("no Secret is made of values", "Secret" not in plain)
same_as_base(plain)
each_value_counts(plain)
wrong_values_are_refused()
if faults:
    raise SystemExit("\n".join(faults))
