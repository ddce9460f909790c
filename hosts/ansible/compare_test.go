package ansible_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/hosts/ansible"
	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
	"shoal/internal/needs"
)

// A sample is one inventory that both read.
type sample struct {
	name     string
	files    map[string]string // a path that ends in "!" is a program
	sources  []string          // among files, or directories; nil means "hosts"
	patterns []string
}

// An answer is what one of the two makes of a sample.
type answer struct {
	Error    string              `json:"error"`
	Groups   map[string][]string `json:"groups"`
	Vars     map[string]map[string]any
	Patterns map[string][]string
}

// write puts the sample's files into a directory and gives its sources there.
func (s sample) write(t testing.TB) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range s.files {
		mode := os.FileMode(0o600)
		if path, program := strings.CutSuffix(name, "!"); program {
			name, mode = path, 0o700
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	sources := s.sources
	if sources == nil {
		sources = []string{"hosts"}
	}
	var paths []string
	for _, source := range sources {
		if !strings.Contains(source, ",") {
			source = filepath.Join(dir, source)
		}
		paths = append(paths, source)
	}
	return paths
}

// python is the interpreter that the installed Ansible runs in.
func python(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(needs.Program(t, "ansible-inventory"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.Fields(strings.TrimPrefix(line, "#!"))[0]
}

// environment keeps a person's own configuration of Ansible out.
func environment(t *testing.T) []string {
	config := filepath.Join(t.TempDir(), "ansible.cfg")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "ANSIBLE_CONFIG="+config, "HOME="+t.TempDir(), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=1",
		"ANSIBLE_HOST_PATTERN_MISMATCH=error", "LC_ALL=C.UTF-8")
}

// theirs asks Ansible about all samples at once.
func theirs(t *testing.T, samples []sample, sources [][]string) []answer {
	t.Helper()
	type question struct {
		Sources  []string `json:"sources"`
		Patterns []string `json:"patterns"`
	}
	questions := make([]question, len(samples))
	for i, s := range samples {
		questions[i] = question{sources[i], append([]string{}, s.patterns...)}
	}
	asked, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python(t), "testdata/oracle.py")
	cmd.Stdin = bytes.NewReader(asked)
	cmd.Env = environment(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("asking Ansible: %v\n%s", err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

func ours(sources, patterns []string) answer {
	var problems problem.Problems
	inv := ansible.Load(context.Background(), ansible.Options{Sources: sources}, &problems)
	if inv == nil {
		return answer{Error: problems.Error()}
	}
	a := answer{Groups: map[string][]string{}, Vars: map[string]map[string]any{}, Patterns: map[string][]string{}}
	u := inv.Universe()
	for _, name := range inv.GroupNames() {
		a.Groups[name], _ = u.Group(name)
	}
	for _, h := range inv.Hosts() {
		told := map[string]any{}
		for name, v := range inv.Vars(h) {
			if v.Kind != ordered.Null {
				told[name] = v.Text
			}
		}
		a.Vars[h.Name] = told
	}
	for _, p := range patterns {
		if hosts, err := u.Select(p); err == nil {
			a.Patterns[p] = hosts
		}
	}
	return a
}

// plain makes values of both sides comparable: booleans and numbers as text, lists
// and mappings as JSON of texts, nothing left out.
func plain(vars map[string]map[string]any) map[string]map[string]string {
	all := map[string]map[string]string{}
	for host, told := range vars {
		texts := map[string]string{}
		for name, v := range told {
			if v != nil {
				texts[name] = text(v)
			}
		}
		all[host] = texts
	}
	return all
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		switch v {
		case "yes", "True", "on":
			return "true"
		case "no", "False", "off":
			return "false"
		}
		return v
	case []any, map[string]any:
		packed, _ := json.Marshal(inner(v))
		return string(packed)
	}
	return fmt.Sprint(v)
}

func inner(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		list := []any{}
		for _, item := range v {
			list = append(list, inner(item))
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for k, item := range v {
			m[k] = inner(item)
		}
		return m
	}
	return text(v)
}

func sorted(groups map[string][]string) map[string][]string {
	all := map[string][]string{}
	for name, hosts := range groups {
		all[name] = slices.Sorted(slices.Values(hosts))
	}
	return all
}

// compare checks one sample. Ansible walks groups of the third level and below in
// no order, so that hosts are compared as sets; and it takes a slice that holds
// nothing for an empty one.
func compare(t *testing.T, s sample, theirs, ours answer) {
	t.Helper()
	if theirs.Error != "" || ours.Error != "" {
		if (theirs.Error == "") != (ours.Error == "") {
			t.Errorf("%s: errors differ\nAnsible: %s\nours: %s\n%v", s.name, theirs.Error, ours.Error, s.files)
		}
		return
	}
	if diff := cmp.Diff(sorted(theirs.Groups), sorted(ours.Groups)); diff != "" {
		t.Errorf("%s: groups (-Ansible +ours):\n%s\n%v", s.name, diff, s.files)
	}
	if diff := cmp.Diff(plain(theirs.Vars), plain(ours.Vars)); diff != "" {
		t.Errorf("%s: variables (-Ansible +ours):\n%s\n%v", s.name, diff, s.files)
	}
	for pattern, hosts := range theirs.Patterns {
		got, known := ours.Patterns[pattern]
		if known != (hosts != nil) && len(hosts) > 0 {
			t.Errorf("%s: pattern %q: Ansible: %q, ours: %q", s.name, pattern, hosts, got)
			continue
		}
		if diff := cmp.Diff(slices.Sorted(slices.Values(hosts)), slices.Sorted(slices.Values(got))); diff != "" {
			t.Errorf("%s: pattern %q (-Ansible +ours):\n%s\n%v", s.name, pattern, diff, s.files)
		}
	}
	for pattern := range ours.Patterns {
		if ours.Patterns[pattern] != nil && theirs.Patterns[pattern] == nil {
			t.Errorf("%s: Ansible refuses pattern %q", s.name, pattern)
		}
	}
}

// TestSameAsAnsible compares with the installed Ansible, on hand-written and on
// generated inventories.
func TestSameAsAnsible(t *testing.T) {
	samples := append(slices.Clone(handwritten), generated(200)...)
	sources := make([][]string, len(samples))
	for i, s := range samples {
		sources[i] = s.write(t)
	}
	refused := 0
	for i, a := range theirs(t, samples, sources) {
		if a.Error != "" {
			refused++
		}
		compare(t, samples[i], a, ours(sources[i], samples[i].patterns))
	}
	if refused > len(samples)/4 {
		t.Errorf("Ansible refuses %d of %d samples: they say little", refused, len(samples))
	}
}

// TestSameAsAnsibleInventory compares with the command that people would use.
func TestSameAsAnsibleInventory(t *testing.T) {
	at := slices.IndexFunc(handwritten, func(s sample) bool { return s.name == "directory" })
	s := handwritten[at]
	sources := s.write(t)
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "ansible-inventory"), "-i", sources[0], "--list")
	cmd.Env = environment(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var listed map[string]struct {
		Hosts    []string
		HostVars map[string]map[string]any
	}
	if err := json.Unmarshal(out, &listed); err != nil {
		t.Fatal(err)
	}
	got := ours(sources, nil)
	want := listed["_meta"].HostVars
	for _, host := range slices.Collect(maps.Keys(got.Vars)) {
		if len(got.Vars[host]) == 0 && want[host] == nil {
			delete(got.Vars, host)
		}
	}
	if diff := cmp.Diff(plain(want), plain(got.Vars)); diff != "" {
		t.Errorf("variables (-Ansible +ours):\n%s", diff)
	}
}
