package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A store makes files that were not there before.
type store interface {
	Create(name string) (io.WriteCloser, error)
	Close() error
}

// outdir is a directory that nothing leaves: os.Root follows no link out of it,
// and O_EXCL none at all.
type outdir struct{ root *os.Root }

// openOutdir makes the directory, or takes an empty one.
func openOutdir(dir string) (*outdir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the output directory: %w", err)
	}
	was, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the output directory: %w", err)
	}
	if was.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("output directory %q is a symbolic link; hint: name the directory that it points to", dir)
	}
	if was.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("output directory %q can be written by others (mode %04o); hint: chmod 700, or name one that does not exist yet",
			dir, was.Mode().Perm())
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the output directory: %w", err)
	}
	if err := checkOutdir(root, dir, was); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &outdir{root}, nil
}

// checkOutdir looks again at what was opened: the path may have changed hands
// since it was looked at.
func checkOutdir(root *os.Root, dir string, was fs.FileInfo) error {
	opened, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("opening the output directory: %w", err)
	}
	defer func() { _ = opened.Close() }() // it was only read
	is, err := opened.Stat()
	if err != nil {
		return fmt.Errorf("opening the output directory: %w", err)
	}
	if !os.SameFile(was, is) {
		return fmt.Errorf("output directory %q was replaced while it was opened", dir)
	}
	switch _, err := opened.Readdirnames(1); {
	case err == nil:
		return fmt.Errorf("output directory %q is not empty; hint: name one that does not exist yet, results are never mixed or overwritten", dir)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("reading the output directory: %w", err)
	}
	return nil
}

func (d *outdir) Create(name string) (io.WriteCloser, error) {
	return d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (d *outdir) Close() error { return d.root.Close() }
