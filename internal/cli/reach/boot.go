package reach

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"shoal/internal/hint"
	"shoal/internal/plainfile"
	"shoal/internal/reach"
)

// readBoots reads a file that writeBoots wrote.
func readBoots(path string) (map[string]string, error) {
	file, err := plainfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the boot identifiers: %w", err)
	}
	defer func() { _ = file.Close() }()
	book := make(map[string]string)
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		name, id, ok := strings.Cut(lines.Text(), " ")
		if !ok || !reach.WellFormed(id) {
			return nil, hint.Wrap(fmt.Errorf("reading the boot identifiers: line %d of %q is not a host and its identifier", n, path),
				"write the file with shoal wait --save")
		}
		book[name] = id
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the boot identifiers: %w", err)
	}
	return book, nil
}

// createBoots creates the file of --save, which must not exist.
func createBoots(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, hint.Wrap(fmt.Errorf("%q exists already, and is not overwritten", path), "remove it, or name another file")
	}
	if err != nil {
		return nil, fmt.Errorf("creating the file of boot identifiers: %w", err)
	}
	return file, nil
}

// writeBoot writes the line of one host.
func writeBoot(w io.Writer, name, id string) error {
	if _, err := fmt.Fprintf(w, "%s %s\n", name, id); err != nil {
		return fmt.Errorf("writing the boot identifiers: %w", err)
	}
	return nil
}
