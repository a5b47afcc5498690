"""Render everything below deploy/kubernetes as `kubectl apply -k` would, and check each resource against its schema.

python3 .ci/check_manifests.py FOLDER [--may-skip]

Needs what .ci/manifests.txt lists and kubernetes-validate. Kinds of Kubernetes itself are checked against its schemas;
those of the Gateway API and of the Prometheus operator by the TypeScript compiler, against the types that npm packages
have of them; KServe's against the models of its Python package; Ray's, of which no registry has a schema, against the
names of its fields. Of each kind a resource with a wrong field must be refused, too. With --may-skip, a machine
without npm checks the rest and says so.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

FOLDER = Path(__file__).parent.parent / "deploy" / "kubernetes"
KUBERNETES = "1.37"
NPM = ("@kubernetes-models/gateway-api@2.0.0", "@kubernetes-models/prometheus-operator@6.0.0", "typescript@5.9.3")
TYPES = {
    "Gateway": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
    "HTTPRoute": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
    "ServiceMonitor": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
}
TSC = "--noEmit --strict --skipLibCheck --module nodenext --moduleResolution nodenext --target es2022"
# KubeRay 1.7's reference: each kind with its fields; of those that are looked into, the kind; "*" is a pod's template.
RAY = """
RayJob apiVersion kind metadata spec=RayJobSpec
RayJobSpec activeDeadlineSeconds backoffLimit clusterSelector deletionStrategy entrypoint entrypointNumCpus
  entrypointNumGpus entrypointResources jobId managedBy metadata preRunningDeadlineSeconds rayClusterSpec=RayClusterSpec
  runtimeEnvYAML shutdownAfterJobFinishes submissionMode submitterConfig submitterPodTemplate=* suspend
  ttlSecondsAfterFinished
RayClusterSpec authOptions=AuthOptions autoscalerOptions enableInTreeAutoscaling gcsFaultToleranceOptions
  headGroupSpec=HeadGroupSpec headServiceAnnotations historyServerOptions managedBy networkPolicy rayVersion suspend
  tlsOptions upgradeStrategy workerGroupSpecs=list[WorkerGroupSpec]
AuthOptions enableK8sTokenAuth mode secretName
HeadGroupSpec enableIngress headService ingressOptions labels rayStartParams resources serviceType template=*
WorkerGroupSpec groupName idleTimeoutSeconds labels maxReplicas minReplicas numOfHosts priority rayStartParams replicas
  resources scaleStrategy suspend template=*
"""
Resource = dict[str, Any]


def main() -> None:
    """Check all, and end with 1 where something is wrong."""
    workplace = Path(sys.argv[1]).resolve()
    resources = [(where, resource) for where, text in rendered() for resource in yaml.safe_load_all(text)]
    faults = [
        f"{where}: image {image}: has no version"
        for where, r in resources
        for image in images(r)
        if not is_fixed(image)
    ]
    typed = [(where, r) for where, r in resources if r["kind"] in TYPES]
    if shutil.which("npm") and install_types(workplace):
        faults += check_types(typed, workplace)
    else:
        print(f"not checked: {', '.join(sorted({r['kind'] for _, r in typed}))}: npm packages could not be had")
        faults += [] if "--may-skip" in sys.argv else ["no npm"]
    for where, resource in resources:
        faults += [f"{where}: {fault}" for fault in check(resource)]
    for kind in sorted({r["kind"] for _, r in resources if r["kind"] not in TYPES}):
        wrong = copy.deepcopy(next(r for _, r in resources if r["kind"] == kind))
        wrong.setdefault("spec", {})["nonsense"] = 1
        faults += [] if check(wrong) else [f"{kind}: a field that does not exist was not noticed"]
    print(*faults, f"{len(resources)} resources, {len(faults)} faults", sep="\n")
    sys.exit(bool(faults))


def rendered() -> Iterator[tuple[str, str]]:
    """Each folder that kustomize takes as it makes it; each other file as it is."""
    folders = [path.parent for path in sorted(FOLDER.rglob("kustomization.yaml"))]
    for folder in folders:
        command = ["kubectl", "kustomize", str(folder)]
        yield (
            str(folder.relative_to(FOLDER)),
            subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout,
        )
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.parent not in folders:
            yield str(path.relative_to(FOLDER)), path.read_text(encoding="utf-8")


def images(value: object) -> Iterator[str]:
    """Every image that a resource names, also those that are volumes."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key in {"image", "reference"} and isinstance(inner, str):
            yield inner
        yield from images(inner)


def is_fixed(image: str) -> bool:
    """Whether it is always the same: by a version that is not `latest`, or by a digest."""
    return re.search(r"(@sha256:[0-9a-f]{64}|:(?!latest$)[\w.-]+)$", image) is not None


def check(resource: Resource) -> list[str]:
    """What is wrong with a resource of any kind but `TYPES`."""
    if resource["kind"] == "RayJob":
        return check_fields(resource, "RayJob", ray_fields())
    if resource["kind"] == "InferenceService":
        faults = check_fields(resource, "V1beta1InferenceService", kserve_fields())
        return faults + check_pod(resource["spec"]["predictor"])
    return [] if resource["kind"] in TYPES else check_kubernetes(resource)


def check_kubernetes(resource: Resource) -> list[str]:
    """What Kubernetes' own schemas say."""
    try:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{resource['kind']}: {'.'.join(map(str, error.path))}: {error.message}"]
    return []


def check_pod(spec: Resource) -> list[str]:
    """A pod's spec, or the part of one, as that of a pod."""
    metadata = {"name": "checked"}
    return check_kubernetes({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def check_fields(value: Any, kind: str, kinds: dict[str, dict[str, str]], where: str = "") -> list[str]:
    """The fields that `kind` does not have, here and further down; templates of pods as Kubernetes checks them."""
    if kind == "*":
        return [f"{where[1:]}: {fault}" for fault in check_pod(value["spec"])]
    if kind.startswith("list["):
        return [f for i, one in enumerate(value) for f in check_fields(one, kind[5:-1], kinds, f"{where}.{i}")]
    if kind not in kinds:
        return []
    unknown = [f"{where[1:]}: {kind} has no field {name}" for name in value if name not in kinds[kind]]
    known = [name for name in value if name in kinds[kind]]
    return unknown + [
        f for name in known for f in check_fields(value[name], kinds[kind][name], kinds, f"{where}.{name}")
    ]


def ray_fields() -> dict[str, dict[str, str]]:
    """`RAY`, as `check_fields` takes it."""
    kinds = {}
    for line in RAY.strip().replace("\n  ", " ").splitlines():
        kind, *fields = line.split()
        kinds[kind] = {name: inner for name, _, inner in (field.partition("=") for field in fields)}
    return kinds


def kserve_fields() -> dict[str, dict[str, str]]:
    """Of each of KServe's types the JSON names of its fields, with their types, out of the source of its package."""
    package = importlib.util.find_spec("kserve")
    assert package is not None
    assert package.submodule_search_locations is not None
    kinds = {}
    for path in Path(package.submodule_search_locations[0], "models").glob("v1beta1_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                maps = {
                    a.targets[0].id: ast.literal_eval(a.value)
                    for a in node.body
                    if isinstance(a, ast.Assign)
                    and isinstance(a.targets[0], ast.Name)
                    and a.targets[0].id in {"openapi_types", "attribute_map"}
                }
                kinds[node.name] = {maps["attribute_map"][name]: kind for name, kind in maps["openapi_types"].items()}
    return kinds


def install_types(workplace: Path) -> bool:
    """Whether npm gave the packages."""
    workplace.mkdir(parents=True, exist_ok=True)
    (workplace / "package.json").write_text('{"private": true}')
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    return subprocess.run(["npm", "install", *options, *NPM], cwd=workplace, check=False).returncode == 0


def check_types(typed: list[tuple[str, Resource]], workplace: Path) -> list[str]:
    """What the compiler says of resources as literals of their types; to it, an unknown field is an error."""
    lines = [f'import type {{ I{kind} }} from "{place}";' for kind, place in TYPES.items()]
    names = [""] * len(lines)
    for number, (where, resource) in enumerate(typed):
        wrong = {**resource, "spec": {**resource["spec"], "nonsense": 1}}
        lines.append(f"export const r{number}: I{resource['kind']} = {json.dumps(resource)};")
        lines.append(f"// @ts-expect-error\nexport const w{number}: I{resource['kind']} = {json.dumps(wrong)};")
        names += [where, f"{where}: with a wrong field", f"{where}: with a wrong field"]
    (workplace / "resources.ts").write_text("\n".join(lines))
    command = ["npx", "tsc", *TSC.split(), "resources.ts"]
    said = subprocess.run(command, cwd=workplace, check=False, text=True, stdout=subprocess.PIPE).stdout
    return [
        re.sub(r"^resources\.ts\((\d+),\d+\)", lambda place: names[int(place[1]) - 1] or "types", line)
        for line in said.splitlines()
    ]


if __name__ == "__main__":
    main()
