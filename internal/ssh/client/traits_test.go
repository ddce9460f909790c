package client

import "testing"

// Only servers that have been tried get the command before they have answered the login.
func TestWhoGetsTheCommandEarly(t *testing.T) {
	for identification, want := range map[string]bool{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2": true, "SSH-2.0-dropbear_2022.83": true,
		"SSH-2.0-OpenSSH_for_Windows_9.5": false, "SSH-2.0-Go": false, "SSH-2.0-Cisco-1.25": false, "SSH-2.0-ROSSSH": false,
	} {
		if got := traitsOf(identification).earlyExec; got != want {
			t.Errorf("%s: %v", identification, got)
		}
	}
}
