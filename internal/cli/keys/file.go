package keys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A scanFile is the output file of shoal keys scan --output. A temporary file
// is opened before the scan, so that an unwritable directory is found first,
// and renamed when it is complete.
type scanFile struct {
	path string
	temp *os.File // nil once it has been renamed
}

// newScanFile returns nil for an empty path.
func newScanFile(path string) (*scanFile, error) {
	if path == "" {
		return nil, nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("--output %q is not a file", path)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("opening --output: %w", err)
	}
	return &scanFile{path: path, temp: temp}, nil
}

// commit writes the text and renames the file.
func (f *scanFile) commit(text []byte) error {
	_, err := f.temp.Write(text)
	if err := errors.Join(err, f.temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.temp.Name(), f.path); err != nil {
		return err
	}
	f.temp = nil
	return nil
}

// discard removes the temporary file unless it was committed.
func (f *scanFile) discard() {
	if f == nil || f.temp == nil {
		return
	}
	_ = f.temp.Close() // it may be closed already
	_ = os.Remove(f.temp.Name())
}
