package bench

import (
	"testing"

	"shoal/fleet"
)

func TestExpected(t *testing.T) {
	for command, want := range map[string]string{
		"echo hello world {index}":    "hello world {index}\n",
		"echo {host} {user}@x:{port}": "{host} {user}@x:{port}\n",
		"echo a-b":                    "a-b\n",
		"echo":                        "",
		"echo -n hello":               "",
		"echo  two  gaps":             "",
		"echo $HOME":                  "",
		"echo 'a'":                    "",
		"echo a\\n":                   "",
		"echo *":                      "",
		"echo ~":                      "",
		"echo a; echo b":              "",
		"echo a\necho b":              "",
		"echo {host|sh}":              "",
		"echo {other}":                "",
		"echo {{host}}":               "",
		"hostname":                    "",
		"echo a #b":                   "",
		"echo {index} b ":             "",
	} {
		if got := Expected(command); got != want {
			t.Errorf("Expected(%q) = %q, want %q", command, got, want)
		}
	}
}

func TestCorrect(t *testing.T) {
	expect, err := Options{Expect: "hello {index}\n"}.expectation()
	if err != nil {
		t.Fatal(err)
	}
	good := func() fleet.Result {
		return fleet.Result{
			Target: fleet.Target{Index: 7}, End: fleet.End{Outcome: fleet.OutcomeOK},
			Stdout: fleet.Output{Bytes: []byte("hello 7\n"), Size: 8},
		}
	}
	for _, c := range []struct {
		name   string
		change func(*fleet.Result)
		want   bool
		ok     bool // without an expectation
	}{
		{"as it should be", func(*fleet.Result) {}, true, true},
		{"another's output", func(r *fleet.Result) { r.Target.Index = 8 }, false, true},
		{"standard error", func(r *fleet.Result) { r.Stderr.Size = 1 }, false, true},
		{"truncated", func(r *fleet.Result) { r.Stdout.Size = 9 }, false, true},
		{"failed", func(r *fleet.Result) { r.Outcome = fleet.OutcomeFailed }, false, false},
		{"unknown", func(r *fleet.Result) { r.Outcome = fleet.OutcomeUnknown }, false, false},
	} {
		r := good()
		c.change(&r)
		if got := correct(expect, &r); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if got := correct(nil, &r); got != c.ok {
			t.Errorf("%s, not compared: %v", c.name, got)
		}
	}
}
