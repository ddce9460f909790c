package journal

import (
	"errors"
	"fmt"
	"time"
)

// A Durability says what an intent and a result outlive.
type Durability uint8

// The durabilities.
const (
	// PowerSafe syncs each transaction to the disk before it counts (PRAGMA
	// synchronous=FULL). It is the default because a lost intent is the one loss
	// that makes a resumed run start a command twice. All that wait share one
	// sync, so it costs latency, a sync or two for each target, and little else.
	PowerSafe Durability = iota
	// ProcessSafe leaves the writing to the kernel (synchronous=NORMAL). What was
	// acknowledged outlives kill -9, a crash and a panic of this program; a power
	// cut or a kernel crash may take the last seconds back, as a whole: the
	// database stays sound, yet a command may then have run without an intent.
	ProcessSafe
)

// Options are how a journal is opened. The zero value is right for programs.
type Options struct {
	// Durability is what is outlived. The zero value is PowerSafe.
	Durability Durability
	// Wait bounds the waiting for other processes that write. 0 means 30 s. What
	// must not fail, such as an intent, waits ten times as long.
	Wait time.Duration
	// CompressAbove is the size in bytes above which output is compressed.
	// 0 means 2 KiB; negative means never.
	CompressAbove int
	// MaxOutput bounds the bytes kept of each stream. Of what is longer the
	// beginning is kept, and the result says so (fleet.FlagOutputTruncated).
	// 0 means 64 MiB; it may be 512 MiB at most.
	MaxOutput int
	// MaxQueue bounds the results that wait for the disk, and MaxQueueBytes
	// their output in bytes; beyond, Result waits. 0 means 1,024 and 16 MiB.
	MaxQueue, MaxQueueBytes int
	// Now tells the time. nil means time.Now.
	Now func() time.Time

	// hook is called around every write; tests end the process there. nil means
	// nothing.
	hook func(step)
	// filesystem is for tests; nil means sharedFilesystem.
	filesystem func(dir string) (string, error)
	// maxPages bounds the database in pages; tests fill it. 0 means no bound.
	maxPages int
}

// A step is a place in the writing where a process may end.
type step uint8

const (
	stepLocked    step = iota // the run's lock is held, nothing of it is written
	stepRun                   // the run's row is committed
	stepTargets               // some targets are committed
	stepSealed                // all targets are
	stepRow                   // a row was written inside a transaction
	stepCommit                // a transaction is about to be committed
	stepCommitted             // it was, and nobody knows
	stepBusy                  // others have had the write lock for all of Options.Wait
	stepEnded                 // the run's end is committed, its lock still held
)

// Validate tells what is out of range.
func (o Options) Validate() error {
	if o.Durability > ProcessSafe {
		return fmt.Errorf("unknown durability %d", o.Durability)
	}
	if o.Wait < 0 || o.MaxOutput < 0 || o.MaxQueue < 0 || o.MaxQueueBytes < 0 {
		return errors.New("a bound of the journal is negative; 0 means the default")
	}
	if o.MaxOutput > maxContent {
		return fmt.Errorf("%d bytes of output for each stream are more than the %d that the journal can keep",
			o.MaxOutput, maxContent)
	}
	return nil
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field    *int
		standard int
	}{
		{&o.CompressAbove, 2 << 10},
		{&o.MaxOutput, 64 << 20},
		{&o.MaxQueue, 1024},
		{&o.MaxQueueBytes, 16 << 20},
	} {
		if *d.field == 0 {
			*d.field = d.standard
		}
	}
	if o.Wait == 0 {
		o.Wait = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.filesystem == nil {
		o.filesystem = sharedFilesystem
	}
	if o.hook == nil {
		o.hook = func(step) {}
	}
	return o
}
