#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns schema/*.api into C structs and descriptor tables. Python's standard library only.

  gen.py --out DIR FILE.api ...

writes for each package PKG.h (structs), and types.h, resources.h and tables.c for all. The language is described in docs/internals/codec.md; src/codec/type.h says what the
tables mean. Errors name file and line.
"""
import argparse
import json
import os
import re
import sys

SCALARS = {
    # name: (field kind, C type, C type behind a pointer or None when absence is in the value)
    "string": ("STRING", "struct cor_str", None), "bytes": ("BYTES", "struct cor_str", None),
    "Raw": ("RAW", "struct cor_str", None), "Quantity": ("QUANTITY", "struct cor_str", None),
    "Duration": ("DURATION", "struct cor_str", None), "bool": ("BOOL", "bool", "bool *"),
    "int32": ("INT32", "int32_t", "int32_t *"), "int64": ("INT64", "int64_t", "int64_t *"),
    "double": ("DOUBLE", "double", "double *"), "Time": ("TIME", "cor_time", None),
    "MicroTime": ("MICROTIME", "cor_time", None),
    "IntOrString": ("INTSTR", "struct cor_intstr", None),
    "Strings": ("STRINGS", "struct cor_strlist", None),
}
KEYWORDS = set("""auto break case char const continue default do double else enum extern float for
goto if inline int long register restrict return short signed sizeof static struct switch typedef
union unsigned void volatile while bool true false linux unix asm typeof""".split())
VERBS = "get list watch create update patch delete deletecollection".split()
TOKEN = re.compile(r'\s*(\w+=(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\S+)|"(?:[^"\\]|\\.)*"|\S+)')
PATCH_FLAGS = {"merge": "PATCH_MERGE", "retainKeys": "PATCH_RETAIN_KEYS", "replace": "PATCH_REPLACE"}
FIELD_WORDS = {"required", "always", "inline", "immutable"}
FIELD_KEYS = {"default", "list", "keys", "map", "patch", "merge", "format", "enum"}


class SchemaError(Exception):
    pass


def cstr(text):
    return "NULL" if text is None else json.dumps(text, ensure_ascii=True)


def cname(name):
    clean = re.sub(r"\W", "_", name.lstrip("$"))
    return clean + "_" if clean in KEYWORDS or name.startswith("$") else clean


class Field:
    def __init__(self, number, name, ref, words, attrs, description):
        self.number, self.name, self.words, self.attrs = number, name, words, attrs
        self.description = description
        self.pointer = ref.startswith("*")
        ref = ref.lstrip("*")
        self.shape = "ONE"
        if ref.startswith("[]"):
            self.shape, ref = "LIST", ref[2:]
        elif ref.startswith("{string}"):
            self.shape, ref = "MAP", ref[len("{string}"):]
        self.ref = ref
        self.type = None        # Type of a message, filled by Schema.link
        self.inline = "inline" in words

    def scalar(self):
        return SCALARS.get(self.ref)


class Type:
    def __init__(self, package, name, attrs, words, description):
        self.package, self.name = package, name
        self.attrs, self.words, self.description = attrs, words, description
        self.fields = []
        self.full = package.name + "." + name
        self.c = package.c + "_" + name
        self.kind = "kind" in words
        self.map_value = False  # some map has it as its value
        self.defaulted = False  # it has defaults, at some depth

    def field(self, name):
        return next((f for f in self.fields if f.name == name), None)


class Resource:
    def __init__(self, package, plural, kind, scope, attrs):
        self.package, self.plural, self.kind, self.scope = package, plural, kind, scope
        self.attrs, self.subs = attrs, []
        self.verbs = VERBS if attrs["verbs"] == "all" else attrs["verbs"].split(",")


class Package:
    def __init__(self, name, attrs):
        self.name, self.c = name, name.replace(".", "_")
        self.group, self.version, self.proto = attrs["group"], attrs["version"], attrs["proto"]
        self.types, self.resources, self.uses = [], [], set()


class Schema:
    def __init__(self):
        self.packages, self.types = [], {}

    def read(self, path):
        package = current = resource = None
        for n, line in enumerate(open(path, encoding="utf-8"), 1):
            tokens = TOKEN.findall(line)
            if not tokens or tokens[0].startswith("#"):
                continue
            try:
                words, attrs, text = self.split(tokens)
                if words[0] == "package":
                    package = Package(words[1], attrs)
                    self.packages.append(package)
                elif words[0] == "type":
                    current = Type(package, words[1], attrs, words[2:], text)
                    package.types.append(current)
                    self.types[current.full] = current
                elif words[0] == "sub" and not resource:
                    raise SchemaError("a subresource without a resource")
                elif words[0] == "resource":
                    resource = Resource(package, words[1], words[2], words[3], attrs)
                    package.resources.append(resource)
                elif words[0] == "sub":
                    resource.subs.append((words[1], words[2], words[3].split(",")))
                else:
                    self.check(words, attrs)
                    if not current:
                        raise SchemaError("a field outside of a type")
                    current.fields.append(
                        Field(int(words[0]), words[1], words[2], words[3:], attrs, text))
            except (SchemaError, ValueError, IndexError, KeyError, AttributeError) as e:
                raise SchemaError("%s:%d: %s: %s" % (path, n, e, line.strip()))

    @staticmethod
    def split(tokens):
        words, attrs, text = [], {}, ""
        for t in tokens:
            m = re.match(r"(\w+)=(.*)$", t)
            if t.startswith('"'):
                text = json.loads(t)
            elif m:
                value = m.group(2)
                quoted = value.startswith('"') and m.group(1) != "default"
                attrs[m.group(1)] = json.loads(value) if quoted else value
            else:
                words.append(t)
        return words, attrs, text

    @staticmethod
    def check(words, attrs):
        wrong = set(words[3:]) - FIELD_WORDS | set(attrs) - FIELD_KEYS
        if wrong:
            raise SchemaError("unknown attribute " + ", ".join(sorted(wrong)))

    def find(self, ref, package):
        t = self.types.get(ref) or self.types.get(package.name + "." + ref)
        if not t:
            raise SchemaError("%s: unknown type %s" % (package.name, ref))
        return t

    def sorted_types(self):
        return sorted(self.types.values(), key=lambda t: t.full.encode())

    def link(self):
        for i, t in enumerate(self.sorted_types()):
            t.index = i
        for p in self.packages:
            for t in p.types:
                for f in t.fields:
                    if f.scalar():
                        continue
                    f.type = self.find(f.ref, p)
                    f.type.map_value |= f.shape == "MAP"
                    if f.type.package is not p:
                        p.uses.add(f.type.package.c)
        more = True
        while more:
            found = [t for t in self.types.values() if not t.defaulted and any(map(has_default, t.fields))]
            for t in found:
                t.defaulted = True
            more = bool(found)


def has_default(f):
    """Whether filling in defaults has anything to do at this field."""
    return f.shape == "ONE" and "default" in f.attrs or f.type is not None and f.type.defaulted


def by_value_order(package):
    """Types so that each comes after those it holds by value."""
    done, out = set(), []

    def visit(t, path):
        if t in done or t.package is not package:
            return
        if t in path:
            raise SchemaError("%s holds itself by value" % t.full)
        for f in t.fields:
            if f.type and f.shape == "ONE" and not f.pointer:
                visit(f.type, path + [t])
        done.add(t)
        out.append(t)

    for t in package.types:
        visit(t, [])
    return out


def member(f):
    """The C declaration of a field, without inlining."""
    name, s = cname(f.name), f.scalar()
    value = s[1] if s else f.type.c
    if f.shape == "MAP":
        if s and s[0] in ("STRING", "BYTES", "QUANTITY"):
            return "struct cor_strmap %s;" % name
        entry = "%s_entry *p" % f.type.c if f.type else \
            "struct { struct cor_str key; %s value; } *p" % value
        return "struct { %s; size_t n; } %s;" % (entry, name)
    if f.shape == "LIST":
        return "struct { %s *p; size_t n; } %s;" % (value, name)
    if f.pointer and not s:
        return "%s *%s;" % (value, name)
    if f.pointer and s[2]:
        return "%s%s;" % (s[2], name)
    return "%s %s;" % (value, name)


def struct_lines(t, indent):
    tab, out = "\t" * indent, []
    if t.kind and indent == 1:
        out.append(tab + "struct cor_str kind, apiVersion;")
    for f in t.fields:
        if f.inline:
            out += [tab + "union {", tab + "\tstruct {"] + struct_lines(f.type, indent + 2) + \
                   [tab + "\t};", tab + "\t%s %s;" % (f.type.c, cname(f.name)), tab + "};"]
        else:
            out.append(tab + member(f))
    return out or [tab + "char empty_;"]


def header(package):
    out = ["// Generated from schema/%s.api by schema/gen.py." % package.c, "#pragma once", "",
           '#include "codec/type.h"']
    out += ['#include "gen/%s.h"' % u for u in sorted(package.uses)] + [""]
    for t in package.types:
        out.append("typedef struct %s %s;" % (t.c, t.c))
        if t.map_value:
            out.append("typedef struct %s_entry %s_entry;" % (t.c, t.c))
    for t in by_value_order(package):
        out += ["", "struct %s {" % t.c] + struct_lines(t, 1) + \
            ["} __attribute__((aligned(8)));"]
    out.append("")
    for t in package.types:
        if t.map_value:
            out += ["struct %s_entry { struct cor_str key; %s value; };" % (t.c, t.c)]
    out += ["#define cor_type_%s cor_types[%d]" % (t.c, t.index) for t in package.types]
    return "\n".join(out) + "\n"


def flat_fields(t, path="", embedded=False):
    """(field, C path, embedded) in JSON order; an inlined message comes before its fields."""
    for f in t.fields:
        yield f, path + cname(f.name), embedded
        if f.inline:
            # Its fields are members of the parent through the anonymous struct.
            yield from flat_fields(f.type, path, True)


def name_list(values):
    return "NULL" if not values else \
        "(const char *const[]){ %s, NULL }" % ", ".join(map(cstr, values))


class Blob:
    """Bytes that tables point into by number; equal ones are stored once."""

    def __init__(self):
        self.bytes, self.places = bytearray(), {}

    def add(self, data):
        if data not in self.places:
            self.places[data] = len(self.bytes)
            self.bytes += data
        return self.places[data]


class Tables:
    """The rows of all types, and what they refer to by number (see src/codec/type.h)."""

    def __init__(self):
        self.texts, self.names, self.slots = Blob(), Blob(), Blob()
        self.infos, self.fields, self.types = [], [], []
        self.info_places, self.nfields = {}, 0
        self.text("")           # 0 is "none"

    def text(self, text):
        return self.texts.add(text.encode() + b"\0") if text else self.texts.add(b"\0")

    def text_list(self, values):
        return self.texts.add(b"".join(v.encode() + b"\0" for v in values) + b"\0") if values else 0

    def field_name(self, name):
        """The name behind a quote, padded so that the encoder may copy it 16 bytes at a time."""
        size = (len(name) + 2 + 15) // 16 * 16
        return self.names.add(b'"' + name.encode().ljust(size - 1, b"\0")) + 1

    def info(self, f):
        a = f.attrs if f else {}
        row = "{ %d, %d, %d, %d, %d, COR_LT_%s }" % (
            self.text(a.get("default", "")), self.text_list(a["enum"].split("|") if "enum" in a else []),
            self.text_list(a["keys"].split(",") if "keys" in a else []), self.text(a.get("merge", "")),
            self.text(f.description if f else ""), a.get("list", "atomic").upper())
        if row not in self.info_places:
            self.info_places[row] = len(self.infos)
            self.infos.append("\t%s," % row)
        return self.info_places[row]


def flags(t, f, embedded):
    names = [w.upper() for w in f.words if w in FIELD_WORDS]
    if f.pointer:
        names.append("POINTER")
    if embedded:
        names.append("EMBEDDED")
    if f.name == "items" and t.kind and f.shape == "LIST":
        names.append("ITEMS")
    for p in f.attrs.get("patch", "").split(","):
        if p in PATCH_FLAGS:
            names.append(PATCH_FLAGS[p])
    if f.attrs.get("map") == "atomic":
        names.append("MAP_ATOMIC")
    return " | ".join("COR_FF_" + n for n in names) or "0"


# What of a value is zero when JSON omits it: (member, size); None: a rule of its own.
OMIT_BY = {"STRING": (".n", "sizeof(size_t)"), "BYTES": (".n", "sizeof(size_t)"),
           "RAW": (".n", "sizeof(size_t)"), "QUANTITY": (".n", "sizeof(size_t)"),
           "DURATION": (".n", "sizeof(size_t)"), "STRINGS": (".n", "sizeof(size_t)"),
           "BOOL": ("", "1"), "INT32": ("", "4"), "INT64": ("", "8"), "DOUBLE": ("", "8"),
           "TIME": ("", "8"), "MICROTIME": ("", "8"), "INTSTR": (".kind", "1")}


def omit(t, f, path):
    """omit_mask, omit_at, keep of a field."""
    s = f.scalar()
    if f.inline:
        return "0", "0", 0
    if "always" in f.words:
        return "0", "0", 1
    if f.shape != "ONE":
        member, size = ".n", "sizeof(size_t)"
    elif f.pointer and (not s or s[2]):
        member, size = "", "sizeof(void *)"
    elif f.pointer and s[0] == "STRING":
        member, size = ".p", "sizeof(void *)"
    elif s:
        member, size = OMIT_BY[s[0]]
    else:
        return "0", "0", 1      # a message by value
    return omit_bytes("offsetof(%s, %s%s)" % (t.c, path, member), size)


def omit_bytes(at, size):
    return "COR_OMIT_MASK(%s, %s)" % (at, size), "COR_OMIT_AT(%s)" % at, 0


def row(tables, name, kind, shape, number, words, offset, elem, omitted, sub, info_place):
    mask, omit_at, keep = omitted
    return ("\t{ %#x, %s, %d, %s, %s, %s, %s,\n\t\t%d, %d, %d, COR_FK_%s, COR_FS_%s, %d, %d }," % (
        prefix(name), mask, tables.field_name(name), offset, omit_at, elem, words, sub, info_place,
        len(name), kind, shape, number, keep))


def field_row(tables, t, f, path, embedded):
    s = f.scalar()
    elem = "0" if f.shape == "ONE" else "sizeof(*((%s *)0)->%s.p)" % (t.c, path)
    return row(tables, f.name, s[0] if s else "MESSAGE", f.shape, 0 if embedded else f.number,
               flags(t, f, embedded), "offsetof(%s, %s)" % (t.c, path), elem, omit(t, f, path),
               f.type.index if f.type else 0, tables.info(f))


def prefix(name):
    return int.from_bytes(name.encode()[:8], "little")


def hash_slots(names):
    """(slots, shift, multiplier), see type.h. Multipliers are tried until no two prefixes meet in
    a slot; the few names that share a prefix stand next to each other."""
    prefixes = {prefix(name) for _, name in names}
    bits, mul, tries = 2, 0x9e3779b97f4a7c15, 0
    while 1 << bits < 2 * len(names):
        bits += 1
    while len({(p * mul % 2 ** 64) >> (64 - bits) for p in prefixes}) < len(prefixes):
        mul = (mul * 6364136223846793005 + 1442695040888963407) % 2 ** 64 | 1
        tries += 1
        if tries % 200 == 0:
            bits += 1
    slots = [255] * (1 << bits)
    for i, name in names:
        h = (prefix(name) * mul % 2 ** 64) >> (64 - bits)
        while slots[h] != 255:
            h = (h + 1) & (len(slots) - 1)
        slots[h] = i
    if bits > 8:
        raise SchemaError("no good hash of " + ", ".join(n for _, n in names))
    return slots, 64 - bits, mul


def byte_array(name, values):
    rows = [", ".join(map(str, values[i:i + 20])) for i in range(0, len(values), 20)]
    return ["const uint8_t %s[] = {" % name] + ["\t%s," % r for r in rows] + ["};"]


def text_array(name, values):
    """As string literals; an escape may not run into a digit that follows it."""
    out, line = ["const char %s[] __attribute__((aligned(16))) =" % name], ""
    for i, b in enumerate(values):
        c = chr(b)
        line += "\\%03o" % b if b < 32 or b > 126 or c in '"\\?' else c
        if len(line) > 90 or i + 1 == len(values):
            out.append('\t"%s"' % line)
            line = ""
    return out + ["\t;"]


def is_object(t):
    meta = t.field("metadata")
    return t.kind and meta and meta.type and meta.type.full == "meta.v1.ObjectMeta"


def type_rows(tables, t):
    """Adds a type and its fields to the tables."""
    rows, json_names, numbers, defaulted = [], [], {}, []
    if t.kind:
        for name in ("kind", "apiVersion"):
            json_names.append((len(rows), name))
            omitted = omit_bytes("offsetof(%s, %s.n)" % (t.c, name), "sizeof(size_t)")
            rows.append(row(tables, name, "STRING", "ONE", 0, "COR_FF_TYPEMETA",
                            "offsetof(%s, %s)" % (t.c, name), "0", omitted, 0, tables.info(None)))
    for f, path, embedded in flat_fields(t):
        if not f.inline:
            json_names.append((len(rows), f.name))
        if f.number and not embedded:
            if f.number in numbers:
                raise SchemaError("%s: number %d twice" % (t.full, f.number))
            numbers[f.number] = len(rows)
        if has_default(f) and not f.inline:
            defaulted.append(len(rows))
        rows.append(field_row(tables, t, f, path, embedded))
    if len({n for _, n in json_names}) != len(json_names) or len(rows) > 64:
        raise SchemaError("%s: a name twice, or too many fields" % t.full)
    slots, shift, mul = hash_slots(json_names)
    top = max(numbers, default=0)
    if top > 255:
        raise SchemaError("%s: number above 255" % t.full)
    tf = ["KIND"] * t.kind + ["OBJECT"] * bool(is_object(t)) + \
        ["LIST"] * bool(t.kind and t.name.endswith("List") and t.field("items")) + \
        ["MAP_ATOMIC"] * (t.attrs.get("map") == "atomic")
    p = t.package
    by_number = tables.slots.add(bytes(numbers.get(i, 255) for i in range(top + 1)))
    order = tables.slots.add(bytes(numbers[n] for n in sorted(numbers)))
    defaults = tables.slots.add(bytes(defaulted))
    tables.types += [
        "\t[%d] = { /* %s */" % (t.index, t.full),
        "\t\t.slot_mul = %#x, .size = sizeof(%s), .fields = %d," % (mul, t.c, tables.nfields),
        "\t\t.slots = %d, .numbers = %d, .proto_order = %d, .defaults = %d," % (
            tables.slots.add(bytes(slots)), by_number, order, defaults),
        "\t\t.nfields = %d, .slot_mask = %d, .slot_shift = %d, .max_number = %d, .nproto = %d," % (
            len(rows), len(slots) - 1, shift, top, len(numbers)),
        "\t\t.ndefaults = %d," % len(defaulted),
        "\t\t.union_kind = COR_UNION_%s, .flags = %s," % (
            t.attrs.get("union", "none").upper(), " | ".join("COR_TF_" + x for x in tf) or "0"),
        "\t\t.name = %d, .proto = %d, .group = %d, .version = %d, .kind = %d, .description = %d," % (
            tables.text(t.full), tables.text(p.proto + "." + t.name), tables.text(p.group),
            tables.text(p.version), tables.text(t.name if t.kind else ""), tables.text(t.description)),
        "\t},"]
    tables.fields += rows
    tables.nfields += len(rows)


def ordered_resources(schema):
    """In discovery's order of groups; a group's preferred version first."""
    order = """core.v1 apiregistration.v1 apps.v1 events.v1 authentication.v1 authorization.v1
        autoscaling.v2 autoscaling.v1 batch.v1 certificates.v1 networking.v1 policy.v1 rbac.v1
        storage.v1 admissionregistration.v1 apiextensions.v1 scheduling.v1 coordination.v1 node.v1
        discovery.v1 resource.v1 flowcontrol.v1""".split()
    packages = sorted((p for p in schema.packages if p.resources),
                      key=lambda p: order.index(p.name) if p.name in order else len(order))
    used, out = {}, []
    for p in packages:
        for r in p.resources:
            name = r.plural.upper()
            r.storage = name
            if name in used:
                if used[name].package.group == p.group:
                    name += "_" + p.version.upper()
                else:
                    name = p.name.split(".")[0].upper() + "_" + name
            used[name] = r
            r.id = "COR_RES_" + name
            r.storage = "COR_RES_" + r.storage
            out.append(r)
    return out


def verb_mask(verbs):
    return " | ".join("COR_VERB_" + v.upper() for v in verbs)


def resource_row(schema, r):
    p = r.package
    listed = "list" in r.verbs
    subs = []
    for name, kind, verbs in r.subs:
        t = None
        if kind != "-":
            t = schema.find(kind, p)
        subs.append("{ %s, %s, %s, %s, %s, %s }" % (
            cstr(name), cstr(t.name if t else ""), cstr(t.package.group if t else ""),
            cstr(t.package.version if t else ""), "&cor_type_" + t.c if t else "NULL",
            verb_mask(verbs)))
    subs_c = "NULL" if not subs else "(const struct cor_subresource[]){\n\t\t\t%s }" % (
        ",\n\t\t\t".join(subs))
    stored = "create" in r.verbs and listed
    empty = "(const char *const[]){ NULL }"
    short, cats = r.attrs.get("short"), r.attrs.get("categories")
    return """\t[%s] = {
		.id = %s, .group = %s, .version = %s, .plural = %s, .singular = %s,
		.kind = %s, .list_kind = %s,
		.type = &cor_type_%s, .list_type = %s, .namespaced = %s, .stored = %s,
		.verbs = %s,
		.short_names = %s, .categories = %s,
		.subs = %s, .nsubs = %d, .storage_id = %s,
	},""" % (r.id, r.id, cstr(p.group), cstr(p.version), cstr(r.plural), cstr(r.attrs["singular"]),
             cstr(r.kind), cstr(r.kind + "List"), schema.find(r.kind, p).c,
             "&cor_type_" + schema.find(r.kind + "List", p).c if listed else "NULL",
             "true" if r.scope == "namespaced" else "false", "true" if stored else "false",
             verb_mask(r.verbs), name_list(short.split(",")) if short else empty,
             name_list(cats.split(",")) if cats else empty, subs_c, len(subs), r.storage)


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def index_array(name, values):
    rows = [", ".join(map(str, values[i:i + 16])) for i in range(0, len(values), 16)]
    return ["const uint16_t %s[] = {" % name] + ["\t%s," % row for row in rows] + ["};"]


def write_common(schema, out_dir):
    res = ordered_resources(schema)
    names = [p.c for p in schema.packages]
    write(os.path.join(out_dir, "types.h"), "\n".join(
        ["// Generated by schema/gen.py: the structs of all packages.", "#pragma once", ""] +
        ['#include "gen/%s.h"' % n for n in names]) + "\n")
    write(os.path.join(out_dir, "resources.h"), "\n".join(
        ["// Generated by schema/gen.py: the index of each resource in cor_resources.",
         "#pragma once", "", "enum cor_res {", "\tCOR_RES_INVALID = -1,"] +
        ["\t%s," % r.id for r in res] + ["\tCOR_RES_MAX,", "};"]) + "\n")
    types, tables = schema.sorted_types(), Tables()
    for t in types:
        type_rows(tables, t)
    kinds = sorted((i for i, t in enumerate(types) if t.kind), key=lambda i: types[i].name.encode())
    write(os.path.join(out_dir, "tables.c"), "\n".join(
        ["// Generated by schema/gen.py: all types and all resources.",
         '#include "gen/types.h"', '#include "gen/resources.h"', "",
         "const struct cor_type cor_types[] = {"] + tables.types +
        ["};", "const size_t cor_types_n = %d;" % len(types), "",
         "const struct cor_field cor_fields[] = {"] + tables.fields +
        ["};", "", "const struct cor_field_info cor_field_infos[] = {"] + tables.infos + ["};", ""] +
        byte_array("cor_type_bytes", tables.slots.bytes) +
        text_array("cor_texts", tables.texts.bytes) +
        text_array("cor_field_names", tables.names.bytes) +
        index_array("cor_types_by_kind", kinds) +
        ["const size_t cor_types_by_kind_n = %d;" % len(kinds), "",
         "const struct cor_resource cor_resources[] = {"] +
        [resource_row(schema, r) for r in res] +
        ["};", "const size_t cor_resources_n = %d;" % len(res)] +
        index_array("cor_resources_by_plural",
                    sorted(range(len(res)), key=lambda i: res[i].plural.encode()))) + "\n")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--out", required=True)
    ap.add_argument("files", nargs="+")
    a = ap.parse_args()
    schema = Schema()
    try:
        for path in a.files:
            schema.read(path)
        schema.link()
        for p in schema.packages:
            write(os.path.join(a.out, p.c + ".h"), header(p))
        write_common(schema, a.out)
    except SchemaError as e:
        sys.exit("schema: %s" % e)


if __name__ == "__main__":
    main()
