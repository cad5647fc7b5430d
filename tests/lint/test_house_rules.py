#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of house_rules.py finds what it should, at the right line, and nothing else."""
import unittest

from house_rules import FORBIDDEN, SPDX, check_cycles, check_map, check_text

HEAD = f"// {SPDX}\n"
LONG = "int f(int a,\n\tint b) {\n" + "\ta++;\n" * 148 + "}\n"

# path, text, the findings as (line, part of the message)
CASES = [
    ("src/base/a.c", HEAD + "int x;\n", []),
    ("src/base/a.c", "int x;\n", [(1, "first line")]),
    ("src/base/a.c", "", []),
    ("tests/x.py", f"#!/usr/bin/env python3\n# {SPDX}\n", []),
    ("tests/x.py", "#!/usr/bin/env python3\nimport os\n", [(2, "first line")]),
    ("src/base/meson.build", "x = 1\n", [(1, "first line")]),
    ("src/base/a.h", HEAD + "#pragma once\n", []),
    ("src/base/a.h", HEAD + "int x;\n", [(1, "#pragma once")]),
    ("src/base/a.h", HEAD + "// #pragma once\n", [(1, "#pragma once")]),
    # sizes
    ("src/base/a.c", HEAD + "int x;\n" * 1499, []),
    ("src/base/a.c", HEAD + "int x;\n" * 1500, [(1501, "1501 lines")]),
    ("schema/core.api", f"# {SPDX}\n" + "x\n" * 2000, []),
    ("src/base/a.c", HEAD + LONG.replace("\ta++;\n", "", 1), []),
    ("src/base/a.c", HEAD + LONG, [(2, "151 lines")]),
    ("src/base/a.c", HEAD + "enum { A };\n#define B(x) {\\\n x\n\n" + LONG, [(6, "151 lines")]),
    ("src/base/a.c", HEAD + "int f(void) { return '{'; } // {\n" + LONG, [(3, "151 lines")]),
    ("src/base/a.c", HEAD + "int t[] = {\n" + "\t1,\n" * 300 + "};\n", []),
    ("src/base/a.c", HEAD + "struct s *p = &(struct s) {\n" + "\t1,\n" * 300 + "};\n", []),
    ("src/base/a.c", HEAD + "struct t {\n" + "\tint x;\n" * 300 + "};\n", []),
    # calls
    ("src/base/a.c", HEAD + "\n\tstrcpy(a, b);\n\tif (x) system (c);\n",
     [(3, "strcpy()"), (4, "system()")]),
    ("src/base/a.c", HEAD + "\tsnprintf(a); strtok_r(b); w->system(c); w.gets(d); my_gets(e);\n", []),
    ("src/base/a.c", HEAD + '/* strcpy(\n */ f("\\"gets("); // alloca(x)\n', []),
    ("src/base/a.c", HEAD + "\tx = atoi(s) + rand() + strtol(s);\n\tw->random(w); popen(c, d);\n",
     [(2, "atoi()"), (2, "rand()"), (3, "popen()")]),
    # directions
    ("src/node/a.c", HEAD + '#include "net/tls.h"\n#include "network/addr.h"\n', []),
    ("src/node/a.c", HEAD + '#include "api/kind.h"\n#include "store/store.h"\n'
     '#include "controllers/engine.h"\n',
     [(2, "node/ must not include api/"), (3, "store/"), (4, "controllers/")]),
    ("src/network/a.c", HEAD + '#include "node/image.h"\n', [(2, "network/ must not")]),
    ("src/controllers/a.c", HEAD + '#include "net/http.h"\n', [(2, "net/http.h")]),
    ("src/controllers/sub/a.c", HEAD + '#include "net/http.h"\n', [(2, "net/http.h")]),
    ("src/base/a.c", HEAD + '#include "codec/type.h"\n', [(2, "nothing else")]),
    ("src/net/a.c", HEAD + '#include "store/store.h"\n', [(2, "net/ must not")]),
    ("src/api/a.c", HEAD + '#include "../controllers/engine.h"\n', [(2, '".."')]),
    ("src/cli/a.c", HEAD + '#include "node/image.h"\n#include "api/kind.h"\n', []),
    ("tests/unit/a.c", HEAD + '#include "api/kind.h"\n#include "node/image.h"\n', []),
]


class HouseRules(unittest.TestCase):
    def test_cases(self):
        for number, (path, text, want) in enumerate(CASES):
            with self.subTest(case=number, path=path):
                got = list(check_text(path, text))
                self.assertEqual([line for line, _ in got], [line for line, _ in want], got)
                for (_, message), (_, part) in zip(got, want):
                    self.assertIn(part, message)

    def test_every_forbidden_call(self):
        for name, why in FORBIDDEN.items():
            with self.subTest(call=name):
                self.assertEqual(list(check_text("src/base/a.c", f"{HEAD}\t{name}(x);\n")),
                                 [(2, f"{name}() is forbidden: {why}")])

    def test_cycles(self):
        tree = {"src/a/a.h": '#include "b/b.h"\n', "src/b/b.h": '\n#include "b_priv.h"\n',
                "src/b/b_priv.h": '#include "base/x.h"\n', "src/base/x.h": "",
                "src/a/a.c": '#include "a/a.h"\n#include "gen/made.h"\n'}
        self.assertEqual(list(check_cycles(tree)), [])
        tree["src/b/b_priv.h"] += '#include "a/a.h"\n'
        [(path, line, message)] = check_cycles(tree)
        self.assertEqual((path, line), ("src/b/b_priv.h", 2))
        self.assertIn("src/a/a.h -> src/b/b.h -> src/b/b_priv.h -> src/a/a.h", message)
        tree["src/b/b_priv.h"] = '#include "b/b_priv.h"\n'
        [(path, line, message)] = check_cycles(tree)
        self.assertIn("src/b/b_priv.h -> src/b/b_priv.h", message)

    def test_what_the_map_names(self):
        paths = ["docs/internals/base.md", "src/api/op_get.c", "src/api/kinds/pod.c", "README.md"]
        self.assertEqual(list(check_map("`base.md` and `op_*.c`, `api/kinds/`,\n`src/api/op_get.c` `kubectl get`", paths)), [])
        self.assertEqual(list(check_map("`README.md`\n`ase.md` or `p_get.c`\n`api/kind/`", paths)),
                         [(2, "there is no ase.md"), (2, "there is no p_get.c"), (3, "there is no api/kind/")])


if __name__ == "__main__":
    unittest.main()
