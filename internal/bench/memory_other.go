//go:build !linux

package bench

func resetPeak() bool { return false }

// Measuring memory and files on these systems is not implemented; 0 means
// unknown.

func peakRSS() int64 { return 0 }

// A prober is the counterpart of the one for Linux.
type prober struct{}

func newProber() *prober { return nil }

func (*prober) close() {}

func (*prober) memory() int64 { return 0 }

func (*prober) files() int { return 0 }
