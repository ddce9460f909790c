package main

import (
	"testing"
	"time"
)

func TestGroupPath(t *testing.T) {
	const mounts = `25 30 0:23 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
36 25 0:31 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
37 25 0:32 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
`
	got, err := groupPath([]byte(mounts), []byte("2:cpu:/\n0::/user.slice/me\n"))
	if want := "/sys/fs/cgroup/unified/user.slice/me"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if got, err := groupPath([]byte(mounts), []byte("2:cpu:/\n")); err == nil {
		t.Errorf("a process in no group of v2 is in %q", got)
	}
	if got, err := groupPath(nil, []byte("0::/\n")); err == nil {
		t.Errorf("without a mount the group is %q", got)
	}
}

func TestParseCPU(t *testing.T) {
	got, err := parseCPU([]byte("usage_usec 30\nuser_usec 1500000\nsystem_usec 20\nnice_usec 0\n"))
	if want := (cpuTime{1500 * time.Millisecond, 20 * time.Microsecond}); got != want || err != nil {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := parseCPU([]byte("usage_usec 30\n")); err == nil {
		t.Error("half a file is taken")
	}
}

func TestProcFields(t *testing.T) {
	const status = "Name:\tssh\nVmPeak:\t  9000 kB\nVmHWM:\t    8192 kB\n"
	if got := kilobytes(field([]byte(status), "VmHWM")); got != 8<<20 {
		t.Errorf("VmHWM is %d bytes, want %d", got, 8<<20)
	}
	if got := field([]byte(status), "Name"); got != "ssh" {
		t.Errorf("the name is %q, want ssh", got)
	}
	if got := kilobytes(field([]byte(status), "Pss")); got != 0 {
		t.Errorf("a field that is not there has %d bytes", got)
	}
}
