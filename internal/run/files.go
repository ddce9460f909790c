package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/internal/journal"
	"shoal/internal/plainfile"
	"shoal/internal/ssh/auth"
)

// Files returns the files that decide which targets a run has and how it reaches
// them, with the digests of their current content: ssh_config, inventories and key
// files. Standard input ("-") is left out.
func Files(config, inventories, identities []string) (files []journal.File) {
	add := func(kind journal.FileKind, paths []string) {
		for _, path := range paths {
			if full, err := filepath.Abs(path); err == nil && path != "-" {
				files = append(files, journal.File{Kind: kind, Path: full, Digest: digest(kind, full)})
			}
		}
	}
	add(journal.FileConfig, config)
	add(journal.FileInventory, inventories)
	add(journal.FileIdentity, identities)
	return files
}

// Absolute makes the paths in the value of a flag independent of the working directory. What is
// no path, such as none, and what begins with ~ stays.
func Absolute(paths []string) []string {
	full := slices.Clone(paths)
	for i, v := range full {
		if v == "" || v == "none" || v == "-" || strings.HasPrefix(v, "~") {
			continue
		}
		if path, err := filepath.Abs(v); err == nil {
			full[i] = path
		}
	}
	return full
}

// A FileChange is what has happened to a file since a run was made.
type FileChange struct {
	journal.File
	Change string // for people: "has gone", "has changed", "is new"
}

// ChangedFiles compares the files of a run with those of now. A file of ssh_config
// that the run did not have is new. Inventories need not be among those of now: they
// are looked for where they were.
func ChangedFiles(then, now []journal.File) (changes []FileChange) {
	find := func(list []journal.File, f journal.File) int {
		return slices.IndexFunc(list, func(x journal.File) bool { return x.Kind == f.Kind && x.Path == f.Path })
	}
	for _, f := range then {
		current, read := "", true
		if i := find(now, f); f.Kind == journal.FileInventory {
			current = digest(f.Kind, f.Path)
		} else if read = i >= 0; read {
			current = now[i].Digest
		}
		switch {
		case !read || current == "" && f.Digest != "":
			changes = append(changes, FileChange{f, "has gone"})
		case current != f.Digest:
			changes = append(changes, FileChange{f, "has changed"})
		}
	}
	for _, f := range now {
		if f.Kind == journal.FileConfig && find(then, f) < 0 {
			changes = append(changes, FileChange{f, "is new"})
		}
	}
	return changes
}

func digest(kind journal.FileKind, path string) string {
	if kind == journal.FileIdentity {
		return keyDigest(path)
	}
	return contentDigest(path)
}

// contentDigest returns the SHA-256 of a file, or of all files below a
// directory with their names. It returns "" for what cannot be read or is no
// regular file (reading a pipe would consume it).
func contentDigest(path string) string {
	h := sha256.New()
	err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(at) // follows links
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fs.ErrInvalid
		}
		file, err := plainfile.Open(at)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // opened for reading only
		name, _ := filepath.Rel(path, at)
		_, _ = fmt.Fprintf(h, "%q %d\n", name, info.Size()) // a hash never fails
		_, err = io.Copy(h, file)
		return err
	})
	if err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// keyDigest returns the fingerprint of a key file's public key; "" if that
// needs a passphrase.
func keyDigest(path string) string {
	set, err := auth.Load(context.Background(), auth.Options{Files: []string{path}})
	if err != nil {
		return ""
	}
	defer func() { _ = set.Close() }() // nothing was signed
	for _, key := range set.Keys() {
		if _, ok := key.(*ssh.Certificate); !ok {
			return ssh.FingerprintSHA256(key)
		}
	}
	return ""
}
