package keys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A scanFile is the file of shoal keys scan --output. It is opened before the
// scan, so that a place that cannot be written is found first, and put in place
// whole.
type scanFile struct {
	path string
	temp *os.File // nil once it is in place
}

// newScanFile gives nil for no path.
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

// commit writes the text and puts the file in place.
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

// discard removes what was not put in place.
func (f *scanFile) discard() {
	if f == nil || f.temp == nil {
		return
	}
	_ = f.temp.Close() // it may be closed already
	_ = os.Remove(f.temp.Name())
}
