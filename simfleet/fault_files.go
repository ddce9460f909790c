package simfleet

import (
	"io"
	"time"

	"shoal/simfleet/internal/memfs"
	"shoal/simfleet/internal/posix"
)

// A fileFault is what a host does wrong with files, whichever way they come: by
// SFTP or by its shell.
type fileFault struct {
	refuse     memfs.Errno   // of every change
	size       int64         // of the file system in bytes; 0 means diskSize
	quota      int64         // in bytes; 0 means none
	apart      bool          // no file can be renamed to another directory
	short      bool          // the second half of larger writes is lost
	pause      time.Duration // for each piece of data
	cut        bool          // the connection, in the middle of the first piece of data
	noise      string        // before what is said on standard output
	noSFTP     bool
	noExec     bool
	closesSFTP bool
}

// loginNoise is what a login file prints that should not.
const loginNoise = "Welcome to \x1b[1mthis host\x1b[0m, unauthorised use is prohibited.\nYou have mail.\n"

// fewBytes is the room on a full disk: enough for the files that a host begins
// with, a marker, and the beginning of a transfer.
const fewBytes = 64 << 10

// fileFaults has the faults of files. They are not among Faults: a command that
// touches no file does not meet them.
var fileFaults = map[Fault]behaviour{
	FaultDiskFull:         {doc: "has 64 KiB of room for files", files: &fileFault{size: fewBytes}},
	FaultPermissionDenied: {doc: "allows no change of any file", files: &fileFault{refuse: memfs.EACCES}},
	FaultReadOnly:         {doc: "has a read-only file system", files: &fileFault{refuse: memfs.EROFS}},
	FaultQuota:            {doc: "lets the account have 64 KiB in files, on a disk with room", files: &fileFault{quota: fewBytes}},
	FaultNoRename:         {doc: "cannot rename a file to another directory (EXDEV)", files: &fileFault{apart: true}},
	FaultShortWrite:       {doc: "loses the second half of each write of more than 1 KiB, and says that all is written", files: &fileFault{short: true}},
	FaultSlowFiles:        {doc: "takes 50 ms for each piece of a file that is read or written", files: &fileFault{pause: 50 * time.Millisecond}},
	FaultDropMidTransfer:  {doc: "drops the connection in the middle of the first piece of a file by SFTP, or of standard input", files: &fileFault{cut: true}},
	FaultNoSFTP:           {doc: "has no SFTP subsystem", files: &fileFault{noSFTP: true}},
	FaultSFTPCloses:       {doc: "accepts the SFTP subsystem and closes it", files: &fileFault{closesSFTP: true}},
	FaultSFTPOnly:         {doc: "has SFTP, and says no to exec", files: &fileFault{noExec: true}},
	FaultNoisyLogin:       {doc: "prints text before the output of each command, and before the SFTP protocol", files: &fileFault{noise: loginNoise}},
}

// fileFault is not nil.
func (b behaviour) fileFault() *fileFault {
	if b.files == nil {
		return &goodFiles
	}
	return b.files
}

var goodFiles fileFault

// configure is the host with the fault.
func (f *fileFault) configure(c *posix.Config) {
	c.Pause = f.pause
	if f.size > 0 {
		c.Size = f.size
	}
}

// apply is for a host that has its first files.
func (f *fileFault) apply(h *posix.Host) {
	h.FS.Refuse, h.FS.Short, h.FS.Quota, h.FS.Apart = f.refuse, f.short, f.quota, f.apart
}

// A cutInput ends the connection in the middle of its first piece.
type cutInput struct {
	r    io.Reader
	conn *conn
}

func (c cutInput) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n == 0 {
		return 0, err
	}
	c.conn.abort()
	return n / 2, io.ErrUnexpectedEOF
}
