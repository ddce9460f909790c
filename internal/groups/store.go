package groups

import (
	"fmt"
	"os"

	"shoal/fleet"
	"shoal/internal/spool"
)

// A store keeps texts, in memory as long as there is room, then in a file without a name.
type store struct {
	room int // bytes left in memory
	file *os.File
	end  int64
	err  error // of the file
}

// put sets t to the outputs. What t had before is forgotten.
func (s *store) put(t *text, outputs [fleet.NumStreams]fleet.Output) {
	s.room += len(t.memory)
	*t = text{}
	for i, out := range outputs {
		t.sizes[i] = len(out.Bytes)
	}
	all := joined(outputs)
	if len(all) <= s.room {
		s.room -= len(all)
		t.memory = all
		return
	}
	if s.file == nil && s.err == nil {
		s.file, s.err = spool.Unnamed("shoal-groups-*")
	}
	if s.err != nil {
		t.err = s.err
		return
	}
	if _, err := s.file.WriteAt(all, s.end); err != nil {
		s.err, t.err = err, err
		return
	}
	t.at = s.end
	s.end += int64(len(all))
}

// get returns the outputs of t, which must not be changed.
func (s *store) get(t *text) (stdout, stderr []byte, err error) {
	if t.err != nil {
		return nil, nil, fmt.Errorf("keeping an output for the comparison: %w", t.err)
	}
	all := t.memory
	if n := t.sizes[0] + t.sizes[1]; all == nil && n > 0 {
		all = make([]byte, n)
		if _, err := s.file.ReadAt(all, t.at); err != nil {
			return nil, nil, fmt.Errorf("reading an output for the comparison: %w", err)
		}
	}
	return all[:t.sizes[0]:t.sizes[0]], all[t.sizes[0]:], nil
}

func (s *store) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
