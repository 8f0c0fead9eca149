"""Holds what Kubernetes gets against Kubernetes' own schemas, and the chart against kubernetes.yaml.

It is called with zctrace's version, the program, the manifest, the chart as it is by default, and the chart with all that can be switched on.
"""

import subprocess
import sys

import kubernetes_validate
import yaml

# The oldest that the chart allows, and the newest that is known here.
VERSIONS = ["1.25", "1.37"]


def read(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


def of_kind(documents, kind):
    [found] = [document for document in documents if document["kind"] == kind]
    return found


def check_form(path, documents):
    for document in documents:
        # A resource of the Prometheus operator: its schema is not among Kubernetes' own.
        if document["kind"] == "PodMonitor":
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
        print(f"{path}: {document['kind']} is sound")


def check_pod(path, daemonset, known, version):
    pod = daemonset["spec"]["template"]["spec"]
    [container] = pod["containers"]
    for word in container["args"]:
        assert not word.startswith("--") or word in known, f"{path}: zctrace serve has no {word}"
    assert container["image"] == f"zctrace:{version}", f"{path}: {container['image']}"
    volumes = sorted(volume["name"] for volume in pod["volumes"])
    mounts = sorted(mount["name"] for mount in container["volumeMounts"])
    assert volumes == mounts, f"{path}: {volumes} and {mounts}"
    selected = daemonset["spec"]["selector"]["matchLabels"]
    labels = daemonset["spec"]["template"]["metadata"]["labels"]
    assert selected.items() <= labels.items(), f"{path}: {selected} does not select {labels}"


def without_labels(document):
    """The chart has labels of its own, and says what the API server assumes for the image."""
    if isinstance(document, dict):
        left_out = ("labels", "matchLabels", "imagePullPolicy")
        return {key: without_labels(value) for key, value in document.items() if key not in left_out}
    if isinstance(document, list):
        return [without_labels(value) for value in document]
    return document


def main(version, program, *paths):
    shown = subprocess.run([program, "serve", "--help"], check=True, capture_output=True, text=True)
    known = {word.rstrip(",") for word in shown.stdout.split()}
    manifest, usual, everything = (read(path) for path in paths)
    for path, documents in zip(paths, (manifest, usual, everything)):
        check_form(path, documents)
        check_pod(path, of_kind(documents, "DaemonSet"), known, version)

    assert len(usual) == 2, "the chart has what nobody asked for"
    for kind in ("ServiceAccount", "DaemonSet"):
        theirs, ours = (without_labels(of_kind(documents, kind)) for documents in (manifest, usual))
        assert theirs == ours, f"{kind}: kubernetes.yaml has\n{yaml.dump(theirs)}\nthe chart\n{yaml.dump(ours)}"

    # What is switched on changes none of the privileges.
    [plain], [full] = (
        of_kind(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"] for documents in (usual, everything)
    )
    for key in ("securityContext", "resources"):
        assert plain[key] == full[key], key
    for option in ("--policy", "--tls-cert", "--tls-key", "--token-file"):
        path = full["args"][full["args"].index(option) + 1]
        mounted = [mount["mountPath"] for mount in full["volumeMounts"]]
        assert path.rsplit("/", 1)[0] in mounted, f"nothing is mounted for {path}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert full[probe]["httpGet"]["scheme"] == "HTTPS", probe
    [endpoint] = of_kind(everything, "PodMonitor")["spec"]["podMetricsEndpoints"]
    [port] = full["ports"]
    assert endpoint["port"] == port["name"] and endpoint["scheme"] == "https"
    pods = of_kind(everything, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert of_kind(everything, "PodMonitor")["spec"]["selector"]["matchLabels"].items() <= pods.items()


main(*sys.argv[1:])
