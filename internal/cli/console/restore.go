package console

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// RestoreBeforeSignals has restore called before a signal ends this process: the mode of a
// terminal outlives it. The returned function stops that, and calls restore itself.
func RestoreBeforeSignals(restore func()) (done func()) {
	signals := make(chan os.Signal, 8) // sent by package signal, never closed
	over := make(chan struct{})        // closed by done
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-over:
		case s := <-signals:
			restore()
			DieOf(s)
		}
	})
	return func() {
		close(over)
		watcher.Wait()
		restore()
		signal.Stop(signals)
		select {
		case s := <-signals: // came meanwhile
			DieOf(s)
		default:
		}
	}
}

// DieOf has a signal that was caught end this process. It does not return.
func DieOf(s os.Signal) {
	signal.Reset(s)
	_ = unix.Kill(unix.Getpid(), s.(syscall.Signal))
	select {} // the signal ends this process
}
