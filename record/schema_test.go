package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"shoal/fleet"
)

// An object is a JSON object.
type object = map[string]any

// lines are the types of the lines, and what follows from their values.
var lines = map[string]reflect.Type{
	"run": reflect.TypeFor[headerLine](), "result": reflect.TypeFor[resultLine](),
	"summary": reflect.TypeFor[summaryLine](), "progress": reflect.TypeFor[progressLine](),
}

// generate returns the schema of a line of any type.
func generate() []byte {
	defs, cases := object{}, []any{}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		def := schemaOf(lines[name])
		def["properties"].(object)["type"] = object{"const": name}
		def["required"] = append([]any{"type"}, def["required"].([]any)...)
		defs[name] = def
		cases = append(cases, object{
			"if":   object{"properties": object{"type": object{"const": name}}},
			"then": object{"$ref": "#/$defs/" + name},
		})
	}
	text, err := json.MarshalIndent(object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       fmt.Sprintf("A line of shoal's result stream (--json), format %d, or of --progress json", Version),
		"description": "Fields, line types, reasons and flags are added within a format. A text that is no UTF-8 is in base64, and NAME_encoding says so. Durations are in nanoseconds, sizes in bytes.",
		"type":        "object", "required": []any{"type"}, "properties": object{"type": object{"type": "string"}},
		"allOf": cases, "$defs": defs,
	}, "", "  ")
	if err != nil {
		panic(err)
	}
	return append(text, '\n')
}

// schemaOf returns the schema of the values of a struct type.
func schemaOf(t reflect.Type) object {
	properties, required := object{}, []any{}
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous {
				add(f.Type)
				continue
			}
			name := f.Tag.Get("json")
			hints := strings.Split(f.Tag.Get("schema"), ",")
			properties[name] = valueOf(f.Type, name, hints)
			if slices.Contains(hints, "always") {
				required = append(required, name)
			}
		}
	}
	add(t)
	return object{"type": "object", "properties": properties, "required": required}
}

// valueOf returns the schema of a member.
func valueOf(t reflect.Type, name string, hints []string) object {
	var names []any // of the enumeration
	switch {
	case slices.Contains(hints, "outcome"):
		for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
			names = append(names, o.String())
		}
	case slices.Contains(hints, "phase"):
		for p := fleet.PhaseNone; p < fleet.NumPhases; p++ {
			names = append(names, p.String())
		}
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case strings.HasSuffix(name, encodingSuffix):
		return object{"const": base64Encoding}
	case name == "flags":
		all := []any{}
		for _, flag := range fleet.Flags(math.MaxUint16).Names() {
			all = append(all, flag)
		}
		return object{"type": "array", "items": object{"type": "string", "examples": all}}
	}
	switch t.Kind() {
	case reflect.String:
		if names != nil {
			return object{"type": "string", "enum": names}
		}
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint16, reflect.Uint32:
		return object{"type": "integer"}
	case reflect.Struct:
		return schemaOf(t)
	case reflect.Slice:
		return object{"type": "array", "items": valueOf(t.Elem(), "", nil)}
	case reflect.Map:
		of := object{"type": "object", "additionalProperties": valueOf(t.Elem(), "", nil)}
		if names != nil {
			of["propertyNames"] = object{"enum": names}
		}
		return of
	}
	panic(fmt.Sprintf("%s is a %s", name, t))
}

// shrunk returns what of an older schema is not in a newer one, or is another there.
func shrunk(path string, older, newer any) (problems []string) {
	switch o := older.(type) {
	case object:
		n, _ := newer.(object)
		for _, key := range slices.Sorted(maps.Keys(o)) {
			if key == "description" {
				continue
			}
			value, found := n[key]
			if !found {
				problems = append(problems, path+"/"+key+" is missing")
				continue
			}
			problems = append(problems, shrunk(path+"/"+key, o[key], value)...)
		}
	case []any:
		n, _ := newer.([]any)
		if strings.HasSuffix(path, "/allOf") || strings.HasSuffix(path, "/examples") { // they grow
			for _, value := range o {
				if !slices.ContainsFunc(n, func(v any) bool { return reflect.DeepEqual(v, value) }) {
					problems = append(problems, fmt.Sprintf("%s lacks %v", path, value))
				}
			}
		} else if !reflect.DeepEqual(o, n) { // required and enum stay within a version
			problems = append(problems, fmt.Sprintf("%s was %v and is %v", path, o, n))
		}
	default:
		if !reflect.DeepEqual(older, newer) {
			problems = append(problems, fmt.Sprintf("%s was %v and is %v", path, older, newer))
		}
	}
	return problems
}

const schemaFile = "schema.json"

func parsed(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The schema is that of the types, and only grows: -update writes no other one. A new Version
// begins a new schema, whose title differs; remove the old file then.
func TestSchema(t *testing.T) {
	text := generate()
	committed, err := os.ReadFile(schemaFile)
	if err != nil && (!*update || !errors.Is(err, os.ErrNotExist)) {
		t.Fatal(err)
	}
	if err == nil {
		if problems := shrunk("", parsed(t, committed), parsed(t, text)); problems != nil {
			t.Fatalf("within format %d the schema only grows:\n%s", Version, strings.Join(problems, "\n"))
		}
	}
	if *update {
		if err := os.WriteFile(schemaFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(committed), string(text)); diff != "" {
		t.Errorf("go test ./record -update writes it (-committed +types):\n%s", diff)
	}
}

// A field that vanishes, changes its type, or is no longer always there is found; one that is
// added is not.
func TestShrunk(t *testing.T) {
	older := parsed(t, generate())
	change := func(do func(properties, def object)) any {
		newer := parsed(t, generate())
		def := newer.(object)["$defs"].(object)["result"].(object)
		do(def["properties"].(object), def)
		return newer
	}
	for name, c := range map[string]struct {
		newer any
		want  int
	}{
		"the same":  {change(func(_, _ object) {}), 0},
		"added":     {change(func(p, _ object) { p["new"] = object{"type": "string"} }), 0},
		"flag":      {change(func(p, _ object) { p["flags"].(object)["items"].(object)["examples"] = []any{} }), len(fleet.Flags(math.MaxUint16).Names())},
		"vanished":  {change(func(p, _ object) { delete(p, "attempt") }), 1},
		"type":      {change(func(p, _ object) { p["attempt"] = object{"type": "string"} }), 1},
		"outcome":   {change(func(p, _ object) { p["outcome"].(object)["enum"] = []any{"ok", "more"} }), 1},
		"no longer": {change(func(_, def object) { def["required"] = []any{"type"} }), 1},
		"line type": {change(func(_, _ object) {}).(object)["$defs"], 7},
	} {
		if got := shrunk("", older, c.newer); len(got) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// full is a result with every field, and with no UTF-8 in its texts.
func full() fleet.Result {
	const text = "a\xff"
	return fleet.Result{
		Target: fleet.Target{Host: fleet.Host{Name: text, User: text, Port: 1}, User: text, Port: 1, Command: text},
		End: fleet.End{
			Outcome: fleet.OutcomeFailed, Reason: text, Phase: fleet.PhaseRun, Flags: math.MaxUint16, Status: 1, Signal: text, Err: errors.New(text),
		},
		Attempt: 1, Started: started, Took: fleet.Durations{fleet.PhaseRun: 1}, AgentSignatures: 1, BecomeOutput: text, Connection: &fleet.Connection{Why: text},
		Stdout: fleet.Output{Bytes: []byte(text), Size: 2}, Stderr: fleet.Output{Bytes: []byte(text), Size: 2},
	}
}

// Every line that is written is valid, and the schema has no field that is never written, and
// lacks none.
// faults.md: I10
func TestLinesAreValid(t *testing.T) {
	stream := exampleStream(t)
	var b bytes.Buffer
	w, err := NewWriter(&b, Header{Program: "\xff", Run: "\xff", Command: "\xff", Started: started, Targets: 1})
	if err != nil {
		t.Fatal(err)
	}
	held := full()
	held.Connection = &fleet.Connection{Held: true, Age: 1}
	sum := Summary{Elapsed: 1}
	for _, r := range []fleet.Result{full(), held} {
		sum.Add(r)
		if err := w.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Stored(full(), Files{"\xff", "\xff"}), w.Close(sum)); err != nil {
		t.Fatal(err)
	}
	stream = append(stream, b.Bytes()...)
	duration := time.Second
	if stream, err = AppendProgress(stream, Progress{
		Targets: 1, Active: map[string]int{}, Waiting: 1, Left: &duration, Stopping: true, Stage: &Stage{1, 2, 3, 4}, Median: 1, Slow: 1, Final: true,
		Oldest: []InFlight{{Host: "\xff", Quiet: &duration}}, Outcomes: [fleet.NumOutcomes]int{fleet.OutcomeOK: 1},
	}); err != nil {
		t.Fatal(err)
	}

	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	defs := parsed(t, generate())
	if err := compiler.AddResource(schemaFile, defs); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	written := object{}
	for line := range bytes.Lines(stream) {
		v := parsed(t, line).(object)
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		name := v["type"].(string)
		if written[name] == nil {
			written[name] = object{}
		}
		merge(written[name].(object), v)
	}
	for name, def := range defs.(object)["$defs"].(object) {
		sameMembers(t, name, def.(object), written[name])
	}
	if schema.Validate(object{"type": "result"}) == nil || schema.Validate(object{"type": "result", "host": 1}) == nil {
		t.Error("a line that is none is valid")
	}
}

// merge adds the members of from to those of to.
func merge(to, from object) {
	for key, value := range from {
		if list, ok := value.([]any); ok && len(list) > 0 {
			value = list[0]
		}
		inner, ok := value.(object)
		if have, known := to[key].(object); ok && known {
			merge(have, inner)
			continue
		}
		to[key] = value
	}
}

// sameMembers reports members that are only in a schema, or only in what was written.
func sameMembers(t *testing.T, path string, def object, written any) {
	t.Helper()
	properties, ok := def["properties"].(object)
	if !ok {
		return
	}
	members, _ := written.(object)
	for name, property := range properties {
		value, found := members[name]
		if !found {
			t.Errorf("%s.%s is never written", path, name)
			continue
		}
		p := property.(object)
		if items, list := p["items"].(object); list {
			p = items
		}
		sameMembers(t, path+"."+name, p, value)
	}
	for name := range members {
		if _, known := properties[name]; !known {
			t.Errorf("%s.%s is not in the schema", path, name)
		}
	}
}
