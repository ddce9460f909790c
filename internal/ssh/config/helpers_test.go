package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/ssh/config"
)

// me is a made-up machine and user, except for the UID, which must own the files.
func me(home string) config.Local {
	return config.Local{
		User: "me", UID: os.Getuid(), Home: home, Hostname: "desk.example.com",
		Getenv: func(name string) (string, bool) {
			value, ok := map[string]string{"SSH_AUTH_SOCK": "/run/agent", "KEYS": "/keys", "EMPTY": ""}[name]
			return value, ok
		},
		HomeOf: func(name string) (string, error) { return "/home/" + name, nil },
	}
}

// writeFile writes a file with write permission only for its owner, and returns its path.
func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tryLoad loads a configuration as -F does.
func tryLoad(t testing.TB, text string, change func(*config.LoadOptions)) (*config.Config, error) {
	t.Helper()
	o := config.LoadOptions{
		File:  writeFile(t, filepath.Join(t.TempDir(), "config"), text),
		Local: me("/home/me"), Exec: config.NoExec,
	}
	if change != nil {
		change(&o)
	}
	return config.Load(o)
}

func load(t testing.TB, text string, change func(*config.LoadOptions)) *config.Config {
	t.Helper()
	c, err := tryLoad(t, text, change)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func resolve(t testing.TB, c *config.Config, host string) *config.Resolved {
	t.Helper()
	r, err := c.Resolve(t.Context(), host, config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantError asserts that an error contains all parts.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}
