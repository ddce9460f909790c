//go:build linux

package packaging_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/needs"
)

var services = flag.Bool("services", false, "boot a Debian with systemd, install the package there and start its services: needs root, cgroups of its own, and two minutes")

// TestServices boots a Debian with the package in a container without a network, and has its services
// reach the container's own sshd. What services prints there is logged.
func TestServices(t *testing.T) {
	if !*services {
		t.Skip("-services boots a Debian, as make dist-test does")
	}
	for _, program := range []string{"mmdebstrap", "systemd-nspawn", "chroot"} {
		needs.Program(t, program)
	}
	root := filepath.Join(t.TempDir(), "root")
	run(t, ".", "mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,systemd-sysv,libpam-systemd,dbus,openssh-client,openssh-server", codename(t), root)
	for name, text := range map[string]string{
		"shoal.deb": read(t, only(t, dist(t, t.TempDir()), "*.deb")),
		"services":  read(t, "services"),
		"etc/systemd/system/services.service": "[Unit]\nAfter=multi-user.target\n" +
			"[Service]\nType=oneshot\nExecStart=/bin/sh -x /services\nExecStopPost=/bin/systemctl poweroff\nStandardOutput=file:/saw\nStandardError=file:/saw\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil { //nolint:gosec // for systemd there
			t.Fatal(err)
		}
	}
	run(t, "/", "chroot", root, "dpkg", "-i", "/shoal.deb")
	run(t, "/", "chroot", root, "systemctl", "add-wants", "multi-user.target", "services.service")
	run(t, "/", "systemd-nspawn", "--quiet", "--directory="+root, "--register=no", "--keep-unit", "--boot", "--private-network")
	saw := read(t, filepath.Join(root, "saw"))
	t.Log(saw)
	for _, want := range []string{
		"\n127.0.0.1: uid=0(root)", "\ndefault  ", "tick 1: first answers; 1 ok", "hello  world", `shoal_watch_targets{name="a",outcome="ok"} 1`,
		"]: http://127.0.0.1:", "\nshoal-hub inactive success\n", "\nshoal-worker inactive success\n", "\nshoal-watch@a inactive success\n", "\nshoal-web inactive success\n",
	} {
		if !strings.Contains(saw, want) {
			t.Errorf("%q is not there", want)
		}
	}
}
