package simfleet

import (
	"io/fs"
	"slices"
	"strings"
	"time"

	"shoal/simfleet/internal/memfs"
)

// HostFiles is what the oracle knows of one host's files.
type HostFiles struct {
	Index int
	Host  string
	// Files has every file, directory and symbolic link that is there, sorted by path.
	Files []File
	// Names has every path that ever existed since the host's beginning, sorted; nil
	// without Options.RecordNames.
	Names []string
	// Whole says that Names is complete: the fleet had room for all.
	Whole bool
}

// A File is one of a host's files.
type File struct {
	Path   string
	Size   int64
	SHA256 Digest // of a regular file
	Mode   fs.FileMode
	UID    uint32
	Target string // of a symbolic link
	Time   time.Time
}

// Find returns the file at a path.
func (h HostFiles) Find(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(h.Files, path, func(f File, path string) int { return strings.Compare(f.Path, path) })
	if !ok {
		return File{}, false
	}
	return h.Files[i], true
}

// nameBudget bounds the memory in bytes for the names that all hosts have had.
const nameBudget = 64 << 20

// Files returns what is on the hosts that have files: those that ran a command
// which needed more than the small shell, or served SFTP.
func (f *Fleet) Files() []HostFiles {
	f.machinesMu.Lock()
	var hosts []int
	for i := range f.machines {
		hosts = append(hosts, i)
	}
	f.machinesMu.Unlock()
	slices.Sort(hosts)
	var all []HostFiles
	digests := new(memfs.Digests)
	for _, i := range hosts {
		h := HostFiles{Index: i, Host: f.name(i)}
		files := f.machine(i).FS
		files.Walk(digests, func(path string, i memfs.Info, digest [32]byte) {
			h.Files = append(h.Files, File{
				Path: path, Size: i.Size(), SHA256: digest, Mode: i.Mode(), UID: i.UID, Target: i.Target, Time: i.ModTime(),
			})
		})
		slices.SortFunc(h.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
		h.Names, h.Whole = files.Names()
		all = append(all, h)
	}
	return all
}
