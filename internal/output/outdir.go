package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"shoal/internal/hint"
)

// A store creates new files.
type store interface {
	Create(name string) (io.WriteCloser, error)
	Close() error
}

// outdir is a directory that writes cannot escape: os.Root follows no link out of it, and
// O_EXCL follows none at all.
type outdir struct{ root *os.Root }

// CheckOutdir creates a directory for Files, or returns an error if it cannot be used.
func CheckOutdir(dir string) error {
	d, err := openOutdir(dir)
	if err != nil {
		return err
	}
	return d.Close()
}

// openOutdir creates the directory or opens an empty one.
func openOutdir(dir string) (*outdir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the output directory: %w", err)
	}
	was, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the output directory: %w", err)
	}
	if was.Mode()&fs.ModeSymlink != 0 {
		return nil, hint.Wrap(fmt.Errorf("output directory %q is a symbolic link", dir), "name the directory that it points to")
	}
	if was.Mode().Perm()&0o022 != 0 {
		return nil, hint.Wrap(fmt.Errorf("output directory %q can be written by others (mode %04o)", dir, was.Mode().Perm()),
			"chmod 700, or name one that does not exist yet")
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

// checkOutdir checks the opened directory again, because the path may have been replaced
// since the first check.
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
		return hint.Wrap(fmt.Errorf("output directory %q is not empty", dir),
			"name one that does not exist yet, results are never mixed or overwritten")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("reading the output directory: %w", err)
	}
	return nil
}

func (d *outdir) Create(name string) (io.WriteCloser, error) {
	return d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (d *outdir) Close() error { return d.root.Close() }
