package sshdtest

import (
	"embed"
	"path/filepath"
	"testing"
)

// programs make servers of other projects' SSH libraries.
//
//go:embed servers
var programs embed.FS

// unpack writes the programs into the test's directory and returns the path of
// one.
func (s *Server) unpack(t testing.TB, name string) string {
	t.Helper()
	const folder = "servers"
	entries, err := programs.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := programs.ReadFile(folder + "/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.dir, folder, entry.Name()), text, 0o600)
	}
	return filepath.Join(s.dir, folder, name)
}
