package journal

import (
	"errors"
	"fmt"
	"time"
)

// Durability is the kind of failure that a committed intent or result survives.
type Durability uint8

// The values of Durability.
const (
	// PowerSafe syncs each transaction to disk before Intend returns (PRAGMA
	// synchronous=FULL). It is the default because a lost intent is the one loss that
	// makes a resumed run start a command twice. All waiting calls share one sync: it
	// costs latency, one or two syncs per target, and little else.
	PowerSafe Durability = iota
	// ProcessSafe leaves writing to the kernel (synchronous=NORMAL). Committed
	// transactions survive kill -9, a crash or a panic of this program. A power cut or a
	// kernel crash may undo the last seconds: the database stays consistent, but a command
	// may have run without an intent.
	ProcessSafe
)

// Options configure a journal. The zero value is right for programs.
type Options struct {
	// Durability is what committed transactions survive. The zero value is PowerSafe.
	Durability Durability
	// Wait bounds the wait for other processes that write. 0 means 30 s. Transactions that
	// must not fail, such as those with intents, wait ten times as long.
	Wait time.Duration
	// CompressAbove is the size in bytes above which output is compressed.
	// 0 means 2 KiB; negative means never.
	CompressAbove int
	// MaxOutput is the number of bytes kept of each stream. Longer output is cut at its
	// end, and the result has fleet.FlagOutputTruncated. 0 means DefaultMaxOutput; the
	// maximum is 512 MiB.
	MaxOutput int
	// MaxQueue bounds the number of results that wait for the disk, and MaxQueueBytes
	// their output in bytes. When a bound is reached, Result waits. 0 means 1,024 and 16
	// MiB.
	MaxQueue, MaxQueueBytes int
	// Now returns the current time. nil means time.Now.
	Now func() time.Time

	// hook is called around every write; tests end the process there. nil disables it.
	hook func(step)
	// filesystem is set by tests; nil means sharedFilesystem.
	filesystem func(dir string) (string, error)
	// maxPages bounds the size of the database in pages; tests fill it. 0 means no bound.
	maxPages int
}

// A step is a point in the writing at which a process may die.
type step uint8

const (
	stepLocked    step = iota // the run's lock is held, nothing of the run is written
	stepRun                   // the run's row is committed
	stepTargets               // a chunk of targets is committed
	stepSealed                // the run is committed as complete
	stepRow                   // a row was written inside a transaction
	stepCommit                // a transaction is about to be committed
	stepCommitted             // it was committed, and no caller knows yet
	stepBusy                  // others held the write lock for all of Options.Wait
	stepEnded                 // the run's end is committed, its lock is still held
)

// DefaultMaxOutput is the default of Options.MaxOutput: 64 MiB.
const DefaultMaxOutput = 64 << 20

// Validate returns an error if a value is out of range.
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
		{&o.MaxOutput, DefaultMaxOutput},
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
