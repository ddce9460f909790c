package sshdtest

import (
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/needs"
)

// Accounts of a server WithUsers, which are not root.
const (
	Worker         = "worker" // logs in
	WorkerPassword = "worker secret"
	Other          = "other"
	OtherPassword  = "other secret"
	NoLogin        = "daemon2" // its shell is nologin
)

// Users are accounts, and rules for becoming another user, in a mount namespace of the server.
type Users struct {
	Sudoers string // sudoers(5); "" lets Worker do everything, with its password
	Doas    string // doas.conf(5); "" the same
	// PAM has lines for the files in /etc/pam.d by their names; "" leaves the system's.
	PAM map[string]string
}

// Hashes of the passwords (crypt(3), $6$).
const (
	workerHash = "$6$shoalworker$3ovXComaMUGAp9YqwH5IUqHiesrDBBDlY1a8GDt/4sw.1U4eK3Td.Tod.UZWUIEVG63H5sQpgWjfFdhrngNUx0"
	otherHash  = "$6$shoalother$g66Cfn8MS13QjL9Axckh0mijeTmJwG4dGy2oDdR2QJFD5EoTgwLvY4k3.TkfzdAWBB18qxT/lT4TLVH/KLwYY."
)

// privateScript gives the server's mount namespace a copy of /etc with the files of $1, homes,
// and nothing that sudo remembers. The key that the server accepts lies beside its configuration.
const privateScript = `set -e
files=$1; shift
for a do case $a in */sshd_config) keys=${a%/*}/.ssh/authorized_keys;; esac; done
mount -t tmpfs -o mode=0755 none /home
cp -a /etc /home/etc
cp -R "$files/." /home/etc
chmod 0440 /home/etc/sudoers /home/etc/doas.conf; chmod 0640 /home/etc/shadow
mount --bind /home/etc /etc
for d in /run/sudo /var/lib/sudo; do mkdir -p $d; mount -t tmpfs -o mode=0711 none $d; done
for u in ` + Worker + " " + Other + `; do mkdir -m 0700 /home/$u; chown $u:$u /home/$u; done
cp "$keys" /home/keys; chmod 0644 /home/keys
exec "$@"`

// WithUsers gives the server these users, as each of whom its key logs in. It needs root, and
// skips the test without. OpenSSH only.
func WithUsers(t testing.TB, u Users) Option {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a server users of its own")
	}
	unshare, dir := needs.Program(t, "unshare"), t.TempDir()
	if u.Sudoers == "" {
		u.Sudoers = "Defaults env_reset\n" + Worker + " ALL=(ALL:ALL) ALL\n"
	}
	if u.Doas == "" {
		u.Doas = "permit " + Worker + "\n"
	}
	const aged = ":19000:0:99999:7:::\n"
	files := map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nsshd:x:998:65534::/run/sshd:/usr/sbin/nologin\n" +
			Worker + ":x:4711:4711::/home/" + Worker + ":/bin/bash\n" +
			Other + ":x:4712:4712::/home/" + Other + ":/bin/sh\n" +
			NoLogin + ":x:4713:4713::/nonexistent:/usr/sbin/nologin\n",
		"shadow":    "root:" + otherHash + aged + Worker + ":" + workerHash + aged + Other + ":" + otherHash + aged + NoLogin + ":!" + aged,
		"group":     "root:x:0:\nshadow:x:42:\nnogroup:x:65534:\ntty:x:5:\n" + Worker + ":x:4711:\n" + Other + ":x:4712:\n" + NoLogin + ":x:4713:\n",
		"sudoers":   u.Sudoers,
		"doas.conf": u.Doas,
	}
	for name, lines := range u.PAM {
		files["pam.d/"+name] = lines
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), []byte(text), 0o644)
	}
	return Option{Below, func(o *options) {
		o.below = []string{unshare, "--mount", "/bin/sh", "-c", privateScript, "sh", dir}
		o.config = append(o.config, "AuthorizedKeysFile /home/keys")
	}}
}
