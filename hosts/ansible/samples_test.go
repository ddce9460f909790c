package ansible_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// files is one INI file.
func ini(lines ...string) map[string]string {
	return map[string]string{"hosts": strings.Join(lines, "\n") + "\n"}
}

func yml(lines ...string) map[string]string {
	return map[string]string{"hosts.yml": strings.Join(lines, "\n") + "\n"}
}

var yamlSource = []string{"hosts.yml"}

var handwritten = []sample{
	{name: "ranges", files: ini("web[01:10:3].example.org", "db[a:c]x[8:10]", "h[9:11]", "[e]", "e[0:4:2]", "E[A:C]", "f[:2]"), patterns: []string{
		"e", "e[0]", "e[-1]", "e[1:]", "e[0:1]", "e[7]", "web*", "db[ab]x8", "*.example.org", "all[0]", "~^(db|h)", "E*:!EA", "h1?", "[dh]*", "[!dh]*",
	}},
	{name: "ports", files: ini("a:22", "b:2222 x=1", "::1", "[fe80::1]:22", "10.0.0.1:8022", "10.0.0.[1:3]", "[c]:23", "d:22", "d:23"), patterns: []string{"::1", "10.0.0.1", "a,b"}},
	{name: "colon at the end", files: ini("a:")},
	{name: "quotes", files: ini(`a x="1 2" y='#' z=a#b w=\# v="\"q\"" u='a"b' t= s=" " r=a=b`, `b x="'q'" y='"q"' z="007" w=1.5 u=-3 t=0x10g`), patterns: []string{"a:b"}},
	{name: "unclosed quote", files: ini(`a x="1`)},
	{name: "word without =", files: ini("a b")},
	{name: "vars section", files: ini("[g]", "a", "[g:vars]", `q = "a b" # c`, "n=8080 # c", "w = a b # c", "e=", "s = 'it''s'", "t=it's", "l=x=y", `b="\ta"`)},
	{name: "comments", files: ini("# c", "; c", "", "  a # c", "b;c", "[g] # c", "c", "[g2:children] # c", "g # c")},
	{name: "children before they are declared", files: ini("[p:children]", "c", "q", "[q:children]", "c", "[c]", "x", "[p:vars]", "v=p", "[q:vars]", "v=q", "[c:vars]", "w=c")},
	{name: "child never declared", files: ini("[p:children]", "c")},
	{name: "vars never declared", files: ini("a", "[p:vars]", "c=1")},
	{name: "vars declared later", files: ini("[p:vars]", "c=1", "[p]", "a")},
	{name: "unknown section", files: ini("[p:hosts]", "a", "[p:things]", "b")},
	{name: "blank in a section", files: ini("[a b]", "x")},
	{name: "vars without =", files: ini("[g]", "a", "[g:vars]", "novalue")},
	{name: "loop", files: ini("[a:children]", "b", "[b:children]", "c", "[c:children]", "a")},
	{name: "itself", files: ini("[a:children]", "a")},
	{name: "bad ranges", files: ini("a[1:]")},
	{name: "range of unequal width", files: ini("a[01:100]")},
	{name: "range backwards", files: ini("a[d:b]")},
	{name: "bracket without colon", files: ini("a[1]")},
	{name: "ungrouped and grouped", files: ini("a", "b", "[g]", "b", "c", "[all]", "d"), patterns: []string{"ungrouped", "all", "all:!ungrouped", "!g", "&g", "g:&ungrouped", "ung*"}},
	{
		name: "precedence",
		files: ini("h own=1", "[b]", "h", "[a]", "h", "[z:children]", "a", "[y:children]", "z", "[all:vars]", "v=all", "own=all", "[a:vars]", "v=a", "[b:vars]", "v=b",
			"[z:vars]", "v=z", "u=z", "[y:vars]", "u=y", "t=y"),
	},
	{name: "priority", files: ini("h", "[b]", "h", "[a]", "h", "[a:vars]", "v=a", "ansible_group_priority=10", "[b:vars]", "v=b")},
	{name: "bad priority", files: ini("[a]", "h", "[a:vars]", "ansible_group_priority=x")},
	{name: "deep", files: ini("[d]", "h", "[c:children]", "d", "[b:children]", "c", "[a:children]", "b", "d", "[x]", "h", "[x:vars]", "v=x", "[d:vars]", "v=d", "[a:vars]", "v=a", "w=a", "[c:vars]", "w=c")},
	{name: "templates", files: ini("a v={{w}} w='{{ x }}'"), patterns: []string{"a"}},
	{name: "groups with odd names", files: ini("[web-servers]", "a", "[9]", "b", "[x.y]", "c"), patterns: []string{"web-servers", "web-servers:9", "x.y", "9", "x*"}},
	{name: "group and host of one name", files: ini("web", "[web]", "a", "b"), patterns: []string{"web", "we?"}},
	{name: "dotted group", files: ini("[a.b]", "x", "[c]", "a.b"), patterns: []string{"a.b"}},
	{name: "byte-order mark", files: map[string]string{"hosts": "# first\na\n"}},
	{name: "no extension, YAML", files: map[string]string{"hosts": "all:\n  hosts:\n    a:\n"}},
	{name: "no extension, YAML with ---", files: map[string]string{"hosts": "---\ng:\n  hosts:\n    a: {x: 1}\n"}},
	{name: "YAML", sources: yamlSource, files: yml(
		"all:", "  hosts:", "    a: {x: 1, y: yes, z: 'yes', n: null, f: 1.5, l: [1, a], m: {k: v, n: [true]}}", "    'w[1:3]':", "      v: r", "  vars:", "    v: all", "    u: all",
		"  children:", "    g:", "      hosts:", "        a:", "        b:2222:", "      vars: {v: g}", "      children:", "        h:", "          hosts: c", "top:", "  hosts: {d: }",
	), patterns: []string{"g", "h:w1", "g:!h", "top", "all:&g"}},
	{name: "YAML anchors", sources: yamlSource, files: yml(
		"all:", "  vars: &v {a: 1, b: 2}", "  hosts:", "    x: {<<: *v, b: 3}", "    y: *v", "    z: {<<: [{a: 7}, *v]}",
	)},
	{name: "YAML hosts as a list", sources: yamlSource, files: yml("all:", "  hosts:", "    - a", "    - b")},
	{name: "YAML number for a host", sources: yamlSource, files: yml("all:", "  hosts:", "    1:")},
	{name: "YAML list", sources: yamlSource, files: yml("- a", "- b")},
	{name: "YAML plugin", sources: yamlSource, files: yml("plugin: nothing", "hosts: x")},
	{name: "YAML broken", sources: yamlSource, files: yml("all: [")},
	{name: "YAML priority", sources: yamlSource, files: yml(
		"b: {hosts: {h: }, vars: {v: b, ansible_group_priority: 5}}", "a: {hosts: {h: }, vars: {v: a}}",
	)},
	{name: "YAML unsafe", sources: yamlSource, files: yml("all: {hosts: {a: {v: !unsafe '{{x}}'}}}")},
	{name: "static JSON", sources: []string{"hosts.json"}, files: map[string]string{"hosts.json": `{"all": {"hosts": {"a": {"x": 1, "y": true, "z": "t"}}, "children": {"g": {"hosts": {"b": null}}}}}`}},
	{name: "program", sources: []string{"prog"}, files: map[string]string{"prog!": "#!/bin/sh\n" + `cat <<'X'
{"g": {"hosts": ["a", "b"], "vars": {"v": "g", "n": 5}, "children": ["k"]}, "k": ["c"], "lone": {"x": "1"}, "e": [],
 "_meta": {"hostvars": {"a": {"v": "a", "l": [1, {"k": null}]}, "nobody": {"v": 1}}}}
X
`}, patterns: []string{"g", "k", "lone", "e"}},
	{name: "program with --host", sources: []string{"prog"}, files: map[string]string{"prog!": `#!/bin/sh
case $1 in
--list) echo '{"g": {"hosts": ["a", "b"]}}';;
--host) echo "{\"name\": \"$2\"}";;
esac
`}},
	{name: "program that fails", sources: []string{"prog"}, files: map[string]string{"prog!": "#!/bin/sh\necho '{}'\nexit 3\n"}},
	{name: "program that prints no JSON", sources: []string{"prog"}, files: map[string]string{"prog!": "#!/bin/sh\necho hello\n"}},
	{name: "program that prints a list", sources: []string{"prog"}, files: map[string]string{"prog!": "#!/bin/sh\necho '[\"a\"]'\n"}},
	{name: "list of hosts", sources: []string{"a,b, c:22,"}, patterns: []string{"b*"}},
	{name: "files beside", sources: []string{"hosts"}, files: map[string]string{
		"hosts": "h1\n[g]\nh2 v=inv\nh3\n[g:vars]\nv=ginv\nw=ginv\n", "group_vars/all.yml": "v: all\nw: all\nx: all\n", "group_vars/g": "w: g\n", "group_vars/g.yml": "w: not read\n",
		"host_vars/h2.yaml": "v: h2\n", "host_vars/h3/b.yml": "v: b\n", "host_vars/h3/a.yml": "v: a\nz: a\n", "host_vars/h3/.hidden.yml": "z: hidden\n", "host_vars/h3/c.txt": "z: [",
		"host_vars/h3/sub/x.yml": "s: 1\n", "host_vars/nobody.yml": "v: 1\n", "group_vars/ungrouped.json": `{"u": 1}`, "host_vars/h1": "",
	}},
	{name: "files beside, broken", sources: []string{"hosts"}, files: map[string]string{"hosts": "a\n", "group_vars/all.yml": "- a\n"}},
	{name: "directory", sources: []string{"inv"}, files: map[string]string{
		"inv/01-hosts": "a\n[g]\nb v=1\n", "inv/02-more.yml": "g: {hosts: {c: {v: 2}}, vars: {w: 3}}\nk: {children: {g: }}\n", "inv/03.cfg": "not read", "inv/.hidden": "[", "inv/x.bak": "[",
		"inv/group_vars/k.yml": "w: k\nx: k\n", "inv/host_vars/a.yml": "l: [1, {m: n}]\n", "inv/sub/04": "d\n[g]\nd\n", "inv/sub/group_vars/g.yml": "w: not read\n",
		"inv/05!": "#!/bin/sh\necho '{\"p\": {\"hosts\": [\"a\", \"e\"], \"vars\": {\"y\": \"p\"}}, \"_meta\": {\"hostvars\": {}}}'\n",
	}, patterns: []string{"g", "k:p", "p:&ungrouped"}},
	{name: "two sources", sources: []string{"a/hosts", "b/hosts"}, files: map[string]string{
		"a/hosts": "h v=a\n[x]\nh\n[y]\nh\n", "b/hosts": "h v=b\n[x:vars]\nw=b\n", "a/group_vars/y.yml": "w: ay\nq: ay\n", "b/group_vars/x.yml": "w: bx\nq: bx\n", "b/group_vars/all.yml": "q: all\nr: all\n",
		"a/host_vars/h.yml": "z: a\n", "b/host_vars/h.yml": "z: b\n",
	}},
	{name: "nothing", sources: []string{"missing"}},
}

// generated makes inventories of both formats from a fixed seed: groups that hold
// each other, hosts in several of them, and the same few variables everywhere, so
// that precedence decides.
func generated(n int) []sample {
	r := rand.New(rand.NewPCG(5, 2))
	var samples []sample
	for i := range n {
		m := newModel(r)
		s := sample{name: fmt.Sprintf("generated %d", i), patterns: m.patterns(r)}
		if i%2 == 0 {
			s.files = ini(m.ini(r)...)
		} else {
			s.files, s.sources = yml(m.yaml()...), yamlSource
		}
		for _, g := range m.groups {
			if r.IntN(4) == 0 {
				s.files["group_vars/"+g.name+".yml"] = "x: file-" + g.name + "\n"
			}
		}
		if r.IntN(3) == 0 {
			s.files["group_vars/all"] = "x: file-all\ny: file-all\n"
			s.files["host_vars/h1"] = "y: file-h1\n"
		}
		samples = append(samples, s)
	}
	return samples
}

type model struct{ groups []modelGroup }

type modelGroup struct {
	name            string
	hosts, children []string
	vars            map[string]string
}

var variableNames = []string{"x", "y", "z"}

func someVars(r *rand.Rand, by string) map[string]string {
	vars := map[string]string{}
	for _, name := range variableNames {
		if r.IntN(3) == 0 {
			vars[name] = by
		}
	}
	return vars
}

func newModel(r *rand.Rand) model {
	var m model
	count := 1 + r.IntN(7)
	for i := range count {
		g := modelGroup{name: fmt.Sprintf("g%c", 'a'+rune((i*5+3)%26)), vars: someVars(r, fmt.Sprintf("v%d", i))}
		for range r.IntN(4) {
			g.hosts = append(g.hosts, fmt.Sprintf("h%d", r.IntN(8)))
		}
		for j := i + 1; j < count; j++ {
			if r.IntN(3) == 0 {
				g.children = append(g.children, fmt.Sprintf("g%c", 'a'+rune((j*5+3)%26)))
			}
		}
		if r.IntN(4) == 0 {
			g.vars["ansible_group_priority"] = fmt.Sprint(r.IntN(5))
		}
		m.groups = append(m.groups, g)
	}
	r.Shuffle(len(m.groups), func(i, j int) { m.groups[i], m.groups[j] = m.groups[j], m.groups[i] })
	return m
}

func (m model) ini(r *rand.Rand) []string {
	lines := []string{"h0", "h8 x=own y='own text'"}
	for _, g := range m.groups {
		lines = append(lines, "["+g.name+"]")
		for _, h := range g.hosts {
			line := h
			for name, v := range someVars(r, "host-"+g.name) {
				line += " " + name + "=" + v
			}
			lines = append(lines, line)
		}
		if len(g.children) > 0 {
			lines = append(lines, "["+g.name+":children]")
			lines = append(lines, g.children...)
		}
		lines = append(lines, "["+g.name+":vars]")
		for name, v := range g.vars {
			lines = append(lines, name+" = "+v)
		}
	}
	return lines
}

func (m model) yaml() []string {
	lines := []string{"all: {hosts: {h8: {x: own}}}"}
	for _, g := range m.groups {
		lines = append(lines, g.name+":", "  hosts:")
		seen := map[string]bool{}
		for _, h := range g.hosts {
			if !seen[h] {
				seen[h] = true
				lines = append(lines, "    "+h+":")
			}
		}
		lines = append(lines, "  children:")
		for _, c := range g.children {
			lines = append(lines, "    "+c+":")
		}
		lines = append(lines, "  vars:")
		for name, v := range g.vars {
			lines = append(lines, "    "+name+": "+v)
		}
	}
	return lines
}

func (m model) patterns(r *rand.Rand) []string {
	words := []string{"all", "ungrouped", "h1", "h[0-3]", "h?", "*", "g*", "~g[a-m]", "~h[12]$", "nobody"}
	for _, g := range m.groups {
		words = append(words, g.name)
	}
	var patterns []string
	for range 6 {
		p := words[r.IntN(len(words))]
		for range r.IntN(3) {
			p += []string{":", ",", ":!", ":&"}[r.IntN(4)] + words[r.IntN(len(words))]
		}
		patterns = append(patterns, p)
	}
	return patterns
}
