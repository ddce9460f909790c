package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const fuseMagic = 0x65735546

// shared are the file systems that several machines may have mounted, by the magic
// number that statfs(2) returns (linux/magic.h and the file systems' sources).
var shared = map[uint32]string{
	0x6969: "nfs", 0x517B: "smb", 0xFE534D42: "smb2", 0xFF534D42: "cifs", 0x564C: "ncp", 0x5346414F: "afs", 0x6B414653: "afs",
	0x73757245: "coda", 0x00C36400: "ceph", 0x0BD00BD0: "lustre", 0x47504653: "gpfs", 0x19830326: "beegfs",
	0x7461636F: "ocfs2", 0x01161970: "gfs2",
}

// sharedFUSE are shared file systems based on FUSE, by their names in mountinfo. Most
// other FUSE file systems keep their files on this machine.
var sharedFUSE = map[string]bool{
	"fuse.sshfs": true, "fuse.glusterfs": true, "fuse.ceph": true, "fuse.ceph-fuse": true, "fuse.s3fs": true,
	"fuse.mount-s3": true, "fuse.gcsfuse": true, "fuse.rclone": true, "fuse.juicefs": true, "fuse.mfs": true,
	"fuse.smbnetfs": true, "fuse.curlftpfs": true, "fuse.davfs": true,
}

// sharedFilesystem returns the name of the directory's file system if several
// machines may have it mounted, otherwise or if unknown "".
func sharedFilesystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	magic := uint32(s.Type) // int32 or int64, by architecture
	if magic != fuseMagic {
		return shared[magic], nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", nil // unknown without /proc
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Clean(dir), &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	//nolint:unconvert // uint32 on some architectures
	if name := mountType(mounts, uint64(st.Dev)); sharedFUSE[name] {
		return name, nil
	}
	return "", nil
}

// mountType returns the type of the file system with this device number from
// /proc/self/mountinfo (proc_pid_mountinfo(5)), or "" if it is not listed.
func mountType(mountinfo []byte, dev uint64) string {
	want := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	for line := range bytes.Lines(mountinfo) {
		before, after, _ := bytes.Cut(line, []byte(" - "))
		if fields := bytes.Fields(before); len(fields) < 3 || string(fields[2]) != want {
			continue
		}
		if fields := bytes.Fields(after); len(fields) > 0 {
			return string(fields[0])
		}
	}
	return ""
}
