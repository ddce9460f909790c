package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// account is the user that the tools log in as on real sshd. It exists only in
// our mount namespace: its shell is /bin/sh, without rc files.
const account = "shoal-peer"

const accountID = 61799

// makeAccount mounts a password file with the account over the system's, and
// returns the account's home directory.
func makeAccount(dir string) (home string, err error) {
	home = filepath.Join(dir, "account")
	if err := os.Mkdir(home, 0o700); err != nil {
		return "", fmt.Errorf("making the account's home directory: %w", err)
	}
	if err := os.Chown(home, accountID, accountID); err != nil {
		return "", fmt.Errorf("giving the account its home directory: %w", err)
	}
	// The account needs access to its home.
	if err := os.Chmod(dir, 0o711); err != nil { // can be traversed but not listed
		return "", fmt.Errorf("opening the way to the account's home directory: %w", err)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", fmt.Errorf("reading the password file: %w", err)
	}
	// "*" is no password but does not lock the account, as "!" would.
	passwd = fmt.Appendf(passwd, "%s:*:%d:%d::%s:/bin/sh\n", account, accountID, accountID, home)
	path := filepath.Join(dir, "passwd")
	if err := os.WriteFile(path, passwd, 0o644); err != nil { // password files are readable by all
		return "", fmt.Errorf("writing a password file: %w", err)
	}
	if said, err := exec.Command("mount", "--bind", path, "/etc/passwd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("mounting a password file: %w: %.200q", err, said)
	}
	return home, nil
}
