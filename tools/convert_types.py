#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made schema/*.api once, from facts about the public API; the .api files are ours since then.

Reads types.json (protobuf numbers, names, types, list semantics), discovery-all.json (resources)
and the Go declarations of the API types, of which it takes only what JSON encoding depends on:
the order of fields, which are pointers, which are omitted when empty, and the values of
enumerations. Kept so that a later version of the API can be converted and compared.

  convert_types.py --types types.json --discovery discovery-all.json --go API_DIR --go ... --out schema
"""
import argparse
import json
import os
import re

# package: (group, openapi and protobuf prefix, folder of the Go declarations)
API = {
    "admission.v1": "admission.k8s.io", "admissionregistration.v1": "admissionregistration.k8s.io",
    "apidiscovery.v2": "apidiscovery.k8s.io", "apps.v1": "apps",
    "authentication.v1": "authentication.k8s.io", "authorization.v1": "authorization.k8s.io",
    "autoscaling.v1": "autoscaling", "autoscaling.v2": "autoscaling", "batch.v1": "batch",
    "certificates.v1": "certificates.k8s.io", "coordination.v1": "coordination.k8s.io",
    "core.v1": "", "discovery.v1": "discovery.k8s.io", "events.v1": "events.k8s.io",
    "flowcontrol.v1": "flowcontrol.apiserver.k8s.io", "networking.v1": "networking.k8s.io",
    "node.v1": "node.k8s.io", "policy.v1": "policy", "rbac.v1": "rbac.authorization.k8s.io",
    "resource.v1": "resource.k8s.io", "scheduling.v1": "scheduling.k8s.io",
    "storage.v1": "storage.k8s.io",
}
PACKAGES = {p: (g, "k8s.io.api." + p, p.replace(".", "/")) for p, g in API.items()}
PACKAGES["meta.v1"] = ("meta.k8s.io", "k8s.io.apimachinery.pkg.apis.meta.v1", "pkg/apis/meta/v1")
PACKAGES["runtime"] = ("", "k8s.io.apimachinery.pkg.runtime", "pkg/runtime")
PACKAGES["apiextensions.v1"] = ("apiextensions.k8s.io",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1", "pkg/apis/apiextensions/v1")
PACKAGES["apiregistration.v1"] = ("apiregistration.k8s.io",
    "k8s.io.kube_aggregator.pkg.apis.apiregistration.v1", "pkg/apis/apiregistration/v1")

META = "k8s.io.apimachinery.pkg.apis.meta.v1."
BUILTIN = {
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "Quantity", META + "Time": "Time",
    META + "MicroTime": "MicroTime", META + "Duration": "Duration", META + "FieldsV1": "Raw",
    META + "Verbs": "Strings", META + "Timestamp": "Time",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "IntOrString",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "Raw",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON": "Raw",
    "k8s.io.api.authentication.v1.ExtraValue": "Strings",
    "k8s.io.api.authorization.v1.ExtraValue": "Strings",
    "k8s.io.api.certificates.v1.ExtraValue": "Strings",
}
SKIP = {"QuantityValue", "Patch", "RootPaths", "TypeMeta", "TableOptions", "GroupVersion",
        "GroupResource", "GroupKind"}
UNION = {"JSONSchemaPropsOrArray": "array", "JSONSchemaPropsOrBool": "bool",
         "JSONSchemaPropsOrStringArray": "strings"}
# Declared elsewhere than in types.go, or encoded by hand upstream.
EXTRA = {
    ("meta.v1", "GroupVersionKind"): ["  1 group string always", "  2 version string always",
                                      "  3 kind string always"],
    ("meta.v1", "GroupVersionResource"): ["  1 group string always", "  2 version string always",
                                          "  3 resource string always"],
    ("meta.v1", "WatchEvent"): ["  1 type string required always", "  2 object Raw required always"],
    ("runtime", "Unknown"): ["  1 typeMeta TypeMeta always", "  2 raw bytes",
                             "  3 contentEncoding string always", "  4 contentType string always"],
    ("apiextensions.v1", "CustomResourceSubresourceStatus"): [],
    ("apiextensions.v1", "JSONSchemaPropsOrArray"): ["  1 schema *JSONSchemaProps",
                                                     "  2 jSONSchemas []JSONSchemaProps"],
    ("apiextensions.v1", "JSONSchemaPropsOrBool"): ["  1 allows bool", "  2 schema *JSONSchemaProps"],
    ("apiextensions.v1", "JSONSchemaPropsOrStringArray"): ["  1 schema *JSONSchemaProps",
                                                           "  2 property []string"],
}
# The core group is not in the aggregated document of /apis.
CORE = """
resource bindings Binding namespaced singular=binding verbs=create

resource componentstatuses ComponentStatus cluster singular=componentstatus verbs=get,list short=cs

resource configmaps ConfigMap namespaced singular=configmap verbs=all short=cm

resource endpoints Endpoints namespaced singular=endpoints verbs=all short=ep

resource events Event namespaced singular=event verbs=all short=ev

resource limitranges LimitRange namespaced singular=limitrange verbs=all short=limits

resource namespaces Namespace cluster singular=namespace verbs=create,delete,get,list,patch,update,watch short=ns
  sub finalize Namespace update
  sub status Namespace get,patch,update

resource nodes Node cluster singular=node verbs=all short=no
  sub proxy NodeProxyOptions create,delete,get,patch,update
  sub status Node get,patch,update

resource persistentvolumeclaims PersistentVolumeClaim namespaced singular=persistentvolumeclaim verbs=all short=pvc
  sub status PersistentVolumeClaim get,patch,update

resource persistentvolumes PersistentVolume cluster singular=persistentvolume verbs=all short=pv
  sub status PersistentVolume get,patch,update

resource pods Pod namespaced singular=pod verbs=all short=po categories=all
  sub attach PodAttachOptions create,get
  sub binding Binding create
  sub ephemeralcontainers Pod get,patch,update
  sub eviction policy.v1.Eviction create
  sub exec PodExecOptions create,get
  sub log Pod get
  sub portforward PodPortForwardOptions create,get
  sub proxy PodProxyOptions create,delete,get,patch,update
  sub resize Pod get,patch,update
  sub status Pod get,patch,update

resource podtemplates PodTemplate namespaced singular=podtemplate verbs=all

resource replicationcontrollers ReplicationController namespaced singular=replicationcontroller verbs=all short=rc categories=all
  sub scale autoscaling.v1.Scale get,patch,update
  sub status ReplicationController get,patch,update

resource resourcequotas ResourceQuota namespaced singular=resourcequota verbs=all short=quota
  sub status ResourceQuota get,patch,update

resource secrets Secret namespaced singular=secret verbs=all

resource serviceaccounts ServiceAccount namespaced singular=serviceaccount verbs=all short=sa
  sub token authentication.v1.TokenRequest create

resource services Service namespaced singular=service verbs=all short=svc categories=all
  sub proxy ServiceProxyOptions create,delete,get,patch,update
  sub status Service get,patch,update
"""
GO_FIELD = re.compile(r'^\t(?:(\w+)\s+)?(\*?[\w.\[\]*]+(?:\{\})?)\s+`([^`]*)`')


class GoPackage:
    """Structs, aliases and enumerations of one folder of Go declarations."""

    def __init__(self, roots, folder):
        self.structs, self.enums = {}, {}
        alias = {}
        for root in roots:
            path = os.path.join(root, folder)
            for name in sorted(os.listdir(path)) if os.path.isdir(path) else []:
                if name.startswith("types") and name.endswith(".go") and "_test" not in name \
                        and "_swagger" not in name:
                    self.read(open(os.path.join(path, name), encoding="utf-8").read(), alias)
        self.alias = alias

    def read(self, text, alias):
        for m in re.finditer(r'^type (\w+) struct \{\n(.*?)^\}', text, re.M | re.S):
            fields = [f for f in map(self.field, m.group(2).split("\n")) if f]
            self.structs[m.group(1)] = fields
        for m in re.finditer(r'^type (\w+) (\w+\.\w+)$', text, re.M):
            alias[m.group(1)] = m.group(2)
        marked = set(re.findall(r'// \+enum\n(?://[^\n]*\n)*type (\w+) string', text))
        for name in marked:
            values = re.findall(r'^\s*\w+\s+%s\s*=\s*"([^"]*)"' % name, text, re.M)
            self.enums[name] = values

    @staticmethod
    def field(line):
        m = GO_FIELD.match(line)
        if not m:
            return None
        name, gotype, tags = m.groups()
        tag = re.search(r'json:"([^"]*)"', tags)
        if not tag:
            return None
        proto = re.search(r'protobuf:"([^"]*)"', tags)
        number = 0
        if proto and proto.group(1) != "-":
            number = int(proto.group(1).split(",")[1])
        parts = tag.group(1).split(",")
        return {"name": parts[0], "go": name or gotype.lstrip("*"), "type": gotype,
                "embedded": not name, "n": number, "omitempty": "omitempty" in parts[1:],
                "omitzero": "omitzero" in parts[1:]}


class Converter:
    def __init__(self, types, discovery, roots):
        self.types = {v["proto"]: v for v in types["types"].values()}
        self.discovery = discovery
        self.go = {p: GoPackage(roots, f) for p, (_, _, f) in PACKAGES.items()}
        self.prefix = {v[1]: p for p, v in PACKAGES.items()}

    def type_ref(self, proto, package):
        if proto in BUILTIN:
            return BUILTIN[proto]
        if "." not in proto:
            return proto
        pre, name = proto.rsplit(".", 1)
        other = self.prefix[pre]
        return name if other == package else other + "." + name

    def field_line(self, package, f, go):
        pointer = go["type"].startswith("*")
        if "map" in f:
            ref = "{string}" + self.type_ref(f["map"][1], package)
        elif f.get("repeated"):
            ref = "[]" + self.type_ref(f["type"], package)
        else:
            ref = ("*" if pointer else "") + self.type_ref(f["type"], package)
        attrs = []
        if f.get("inline"):
            return "  %d %s %s inline" % (f["n"], f["json"], ref)
        if f.get("required"):
            attrs.append("required")
        bare = ref.lstrip("*")
        message = "." in bare or bare[0].isupper()
        struct = message and not pointer and bare[0] not in "[{" and bare != "Strings"
        if go["omitzero"]:
            pass
        elif struct or not go["omitempty"]:
            attrs.append("always")
        if "default" in f and f["default"] not in ("", 0, False):
            attrs.append("default=" + json.dumps(f["default"]))
        if f.get("listType"):
            attrs.append("list=" + f["listType"])
        if f.get("listMapKeys"):
            attrs.append("keys=" + ",".join(f["listMapKeys"]))
        if f.get("mapType"):
            attrs.append("map=" + f["mapType"])
        if f.get("patchStrategy"):
            attrs.append("patch=" + f["patchStrategy"])
        if f.get("patchMergeKey"):
            attrs.append("merge=" + f["patchMergeKey"])
        if f.get("format") == "byte":
            attrs.append("format=byte")
        base = re.sub(r'^[*\[\]]+|map\[\w+\]', "", go["type"])
        enum = self.go[package].enums.get(base)
        if enum:
            text = "|".join(sorted(enum))
            attrs.append("enum=" + (json.dumps(text) if " " in text else text))
        return ("  %d %s %s %s" % (f["n"], go["name"], ref, " ".join(attrs))).rstrip()

    def convert_type(self, package, name, t):
        gop = self.go[package]
        if (package, name) in EXTRA:
            union = " union=" + UNION[name] if name in UNION else ""
            return ["type " + name + union] + EXTRA[package, name]
        if name not in gop.structs and name in gop.alias:
            pkg, other = gop.alias[name].split(".")
            gop = self.go["meta.v1"] if pkg == "metav1" else gop
            gofields = gop.structs[other]
        elif name in gop.structs:
            gofields = gop.structs[name]
        else:
            return None
        line = "type " + name
        if any(g["embedded"] and g["go"].endswith("TypeMeta") and not g["n"] for g in gofields):
            line += " kind"
        if t.get("mapType"):
            line += " map=" + t["mapType"]
        out = [line]
        by_number = {f["n"]: f for f in t["fields"]}
        for g in gofields:
            f = by_number.pop(g["n"], None)
            if f:
                if g["name"] in ("", "-"):
                    g = dict(g, name=f["json"])
                out.append(self.field_line(package, f, g))
        for f in by_number.values():
            print("left over:", package, name, f)
        return out

    def resources(self, package):
        group = PACKAGES[package][0]
        version = package.split(".")[-1]
        if package in ("meta.v1", "runtime"):
            return []
        if package == "core.v1":
            return CORE.strip().split("\n") + [""]
        out = []
        for g in self.discovery["items"]:
            if g["metadata"].get("name", "") != group:
                continue
            for v in g["versions"]:
                if v["version"] == version:
                    for r in v["resources"]:
                        out += self.resource(package, r) + [""]
        return out

    def resource(self, package, r):
        all_verbs = "create delete deletecollection get list patch update watch".split()
        verbs = "all" if r["verbs"] == all_verbs else ",".join(r["verbs"])
        line = "resource %s %s %s singular=%s verbs=%s" % (
            r["resource"], r["responseKind"]["kind"],
            "namespaced" if r["scope"] == "Namespaced" else "cluster", r["singularResource"], verbs)
        if r.get("shortNames"):
            line += " short=" + ",".join(r["shortNames"])
        if r.get("categories"):
            line += " categories=" + ",".join(r["categories"])
        out = [line]
        by_group = {v[0]: p for p, v in PACKAGES.items() if p not in ("meta.v1", "runtime")}
        for s in r.get("subresources", []):
            k = s["responseKind"]
            kind = k["kind"]
            if k["group"] or k["version"]:
                first = [p for p, v in PACKAGES.items()
                         if v[0] == k["group"] and p.endswith("." + k["version"]) and p != "meta.v1"]
                kind = (first[0] if first else by_group[k["group"]]) + "." + kind
            out.append("  sub %s %s %s" % (s["subresource"], kind or "-", ",".join(s["verbs"])))
        return out

    def package(self, package):
        group, prefix, _ = PACKAGES[package]
        version = package.split(".")[-1] if "." in package else ""
        out = ["# SPDX-License-Identifier: Apache-2.0",
               "package %s group=%s version=%s proto=%s" % (package, group, version, prefix), ""]
        out += self.resources(package)
        for proto in sorted(p for p in self.types if p.rsplit(".", 1)[0] == prefix):
            name = proto.rsplit(".", 1)[1]
            if proto in BUILTIN or (name in SKIP and package != "runtime"):
                continue
            lines = self.convert_type(package, name, self.types[proto])
            if lines:
                out += lines + [""]
            else:
                print("no declaration:", package, name)
        return "\n".join(out)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--types", required=True)
    ap.add_argument("--discovery", required=True)
    ap.add_argument("--go", action="append", required=True)
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    c = Converter(json.load(open(a.types)), json.load(open(a.discovery)), a.go)
    for package in PACKAGES:
        with open(os.path.join(a.out, package.replace(".", "_") + ".api"), "w") as f:
            f.write(c.package(package))


if __name__ == "__main__":
    main()
