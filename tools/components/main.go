// Command components says what is in a program: it reads which modules the linker has put into the given
// binaries, checks that each has a licence that we may ship, and writes their texts and a bill of materials.
//
// It reads the binaries and not go.mod, because go.mod names what tests need too, and a binary of another
// system has other packages. The bill is CycloneDX 1.6: one JSON document that scanners read
// (Grype, Trivy, Dependency-Track), where SPDX needs a relation for each pair for the same content.
package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// allowed are the licences that ask for no more than what the packages do: their texts are shipped. MPL-2.0 asks
// for the source of its files, which is public and unchanged; blessing is that of SQLite.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "OFL-1.1", "Unlicense", "CC0-1.0",
	"CC-BY-4.0", "FTL", "blessing"}

// ours is what a person has found in files of which no phrase is known, by module.
var ours = map[string][]string{
	"github.com/golang/freetype": {"FTL"}, // it offers the choice between this and GPL-2.0
}

// A module is one that is linked into a binary.
type module struct {
	path, version, sum string
	dir                string
	licences           []string
	texts              [][]byte
}

func main() {
	bill := flag.String("bill", "", "write the bill of materials to `FILE`")
	texts := flag.String("texts", "", "write the texts of the licences to `FILE`")
	name := flag.String("name", "shoal", "the product")
	version := flag.String("version", "", "its version")
	from := flag.String("module", ".", "the `DIR` of its module")
	flag.Parse()
	if err := run(*bill, *texts, *name, *version, *from, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "components:", err)
		os.Exit(1)
	}
}

func run(bill, texts, name, version, from string, binaries []string) error {
	modules, goVersion, err := linked(binaries)
	if err != nil {
		return err
	}
	if err := locate(modules, from); err != nil {
		return err
	}
	root, err := goRoot(goVersion)
	if err != nil {
		return err
	}
	modules = append(modules, root)
	var failed error
	for i := range modules {
		failed = errors.Join(failed, modules[i].license())
	}
	if failed != nil {
		return failed
	}
	return errors.Join(writeBill(bill, name, version, modules), writeTexts(texts, modules))
}

// linked returns the modules in the binaries, sorted, and the Go release that built them.
func linked(binaries []string) ([]module, string, error) {
	all, goVersion := make(map[string]module), ""
	for _, path := range binaries {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, "", err
		}
		goVersion = info.GoVersion
		for _, dep := range info.Deps {
			if dep.Replace != nil {
				return nil, "", fmt.Errorf("%s: %s is replaced: its licence has to be found by hand", path, dep.Path)
			}
			all[dep.Path] = moduleOf(dep)
		}
	}
	if len(all) == 0 {
		return nil, "", errors.New("no modules: name binaries that Go has built")
	}
	modules := slices.Collect(maps.Values(all))
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return modules, goVersion, nil
}

func moduleOf(m *debug.Module) module { return module{path: m.Path, version: m.Version, sum: m.Sum} }

// locate finds the modules' directories.
func locate(modules []module, from string) error {
	cmd := exec.Command("go", "list", "-m", "-json", "all")
	cmd.Dir, cmd.Stderr = from, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list -m: %w", err)
	}
	dirs := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var m struct{ Path, Version, Dir string }
		if err := d.Decode(&m); err != nil {
			return err
		}
		dirs[m.Path+"@"+m.Version] = m.Dir
	}
	for i := range modules {
		m := &modules[i]
		if m.dir = dirs[m.path+"@"+m.version]; m.dir == "" {
			return fmt.Errorf("%s %s is in a binary and not in the module cache: build it anew", m.path, m.version)
		}
	}
	return nil
}

// goRoot is the standard library.
func goRoot(version string) (module, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return module{}, fmt.Errorf("go env: %w", err)
	}
	version, _, _ = strings.Cut(version, " ")
	return module{path: "std", version: strings.TrimPrefix(version, "go"), dir: strings.TrimSpace(string(out))}, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|unlicense)(\.|-|$)`)

// license finds the licences of a module, and checks that they are allowed.
func (m *module) license() error {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return err
	}
	found := slices.Clone(ours[m.path])
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "-LOGO") { // of a picture that is not linked
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.dir, e.Name()))
		if err != nil {
			return err
		}
		m.texts = append(m.texts, text)
		ids := recognise(text)
		if len(ids) == 0 && ours[m.path] == nil && !strings.HasPrefix(strings.ToLower(e.Name()), "notice") {
			return fmt.Errorf("%s %s: nobody knows the licence in %s", m.path, m.version, filepath.Join(m.dir, e.Name()))
		}
		found = append(found, ids...)
	}
	slices.Sort(found)
	m.licences = slices.Compact(found)
	if len(m.licences) == 0 {
		return fmt.Errorf("%s %s: no known licence in %s", m.path, m.version, m.dir)
	}
	for _, id := range m.licences {
		if !slices.Contains(allowed, id) {
			return fmt.Errorf("%s %s: the licence %s is not among those that are allowed", m.path, m.version, id)
		}
	}
	return nil
}

func writeTexts(path string, modules []module) error {
	if path == "" {
		return nil
	}
	var b bytes.Buffer
	for _, m := range modules {
		fmt.Fprintf(&b, "==== %s %s: %s\n\n", m.path, m.version, strings.Join(m.licences, ", "))
		for _, text := range m.texts {
			b.Write(bytes.TrimSpace(text))
			b.WriteString("\n\n")
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func writeBill(path, name, version string, modules []module) error {
	if path == "" {
		return nil
	}
	type object = map[string]any
	component := func(m module) object {
		var licences []object
		for _, id := range m.licences {
			licences = append(licences, object{"license": object{"id": id}})
		}
		url := "pkg:golang/" + m.path + "@" + m.version
		c := object{"type": "library", "bom-ref": url, "name": m.path, "version": m.version, "purl": url, "licenses": licences}
		if m.sum != "" { // that of go.sum: not a digest of one file
			c["properties"] = []object{{"name": "go:sum", "value": m.sum}}
		}
		return c
	}
	var components []object
	for _, m := range modules {
		components = append(components, component(m))
	}
	text, err := json.MarshalIndent(object{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":   object{"component": object{"type": "application", "bom-ref": name, "name": name, "version": version}},
		"components": components,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
