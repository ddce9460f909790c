package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRecognise(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004\n": "Apache-2.0",
		"# Permission is hereby granted, free of charge, to any person\n# obtaining a copy of this software and associated documentation files (the": "MIT",
		bsd + ":\n * Neither the name of X may be used to\n * endorse or promote products derived from this software without specific prior":         "BSD-3-Clause",
		bsd + ":\n": "BSD-2-Clause",
		"GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007": "GPL-3.0",
		"All rights reserved.":                                 "",
	} {
		if got := strings.Join(recognise([]byte(text)), " "); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}

// What is unknown, not allowed or missing is an error.
func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"LICENSE": "All rights reserved.", "COPYING": "GNU GENERAL PUBLIC LICENSE Version 2, June 1991", "README": "MIT",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m := module{path: "example.org/x", version: "v1", dir: dir}
		if err := m.license(); err == nil || !strings.Contains(err.Error(), "example.org/x") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if slices.ContainsFunc(allowed, func(id string) bool { return strings.Contains(id, "GPL") }) {
		t.Error("a licence that asks for our source is allowed")
	}
}
