package memfs

import (
	"crypto/sha256"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"unique"
)

// names are the names that ever existed.
type names struct {
	room *atomic.Int64
	set  map[string]struct{}
	lost bool
}

// nameCost is what a name takes beside its bytes.
const nameCost = 64

// Record records every name from now on, as long as room, which is shared, has
// bytes left.
func (f *FS) Record(room *atomic.Int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = &names{room: room, set: make(map[string]struct{})}
}

// record notes a new name, and with a directory those in it.
func (f *FS) record(dir *node, name string, n *node) {
	f.names.add(strings.TrimSuffix(f.path(dir), "/")+"/"+name, n)
}

func (s *names) add(path string, n *node) {
	if _, known := s.set[path]; !known {
		if s.room.Add(-int64(len(path)+nameCost)) < 0 {
			s.lost = true
			return
		}
		s.set[path] = struct{}{}
	}
	for _, e := range n.entries {
		s.add(path+"/"+e.name, e.node)
	}
}

// Names returns every name that existed since Record, sorted, and whether that is
// all of them.
func (f *FS) Names() (list []string, whole bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names == nil {
		return nil, false
	}
	for name := range f.names.set {
		list = append(list, name)
	}
	slices.Sort(list)
	return list, !f.names.lost
}

// A Digests computes the digests of files, and remembers those of contents that
// several files share. It is for one goroutine.
type Digests struct {
	known map[unique.Handle[string]][]digested
}

type digested struct {
	content content
	digest  [sha256.Size]byte
}

func (d *Digests) of(c *content) [sha256.Size]byte {
	if len(c.blocks) == 0 || c.blocks[0].shared == noHandle {
		return c.digest()
	}
	first := c.blocks[0].shared
	for _, k := range d.known[first] {
		if k.content.size == c.size && slices.EqualFunc(k.content.blocks, c.blocks, block.same) {
			return k.digest
		}
	}
	k := digested{content{c.size, slices.Clone(c.blocks)}, c.digest()}
	if d.known == nil {
		d.known = make(map[unique.Handle[string]][]digested)
	}
	for i, b := range k.content.blocks {
		k.content.blocks[i].own = slices.Clone(b.own)
	}
	d.known[first] = append(d.known[first], k)
	return k.digest
}

func (b block) same(other block) bool {
	return b.shared == other.shared && slices.Equal(b.own, other.own)
}

// Walk calls do for every file, directory and link below the root that is not in
// a Tree, sorted by path, with the SHA-256 of regular files.
func (f *FS) Walk(d *Digests, do func(path string, i Info, digest [sha256.Size]byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		for _, e := range n.entries {
			if e.node.synth != nil {
				continue
			}
			name := path + "/" + e.name
			var digest [sha256.Size]byte
			if e.node.mode&fs.ModeType == 0 {
				digest = d.of(&e.node.content)
			}
			do(name, e.node.info(e.name), digest)
			walk(name, e.node)
		}
	}
	walk("", f.root)
}
