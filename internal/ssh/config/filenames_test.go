package config

import "testing"

// TestFilesOfOptions has one rule for what an option's file depends on: RelativeFile refuses
// what AbsoluteFiles changes, and nothing of what AbsoluteFiles returns.
func TestFilesOfOptions(t *testing.T) {
	t.Setenv("SOCK", "/run/agent")
	t.Setenv("HERE", "agent")
	const dir = `/a 5%/"x\`
	for option, want := range map[string]string{
		"IdentityFile=key":                     `IdentityFile="/a 5%%/\"x\\/key"`,
		"identityfile2 ../key":                 `identityfile2="/a 5%%/key"`,
		"IdentityFile=%h.key":                  `IdentityFile="/a 5%%/\"x\\/%h.key"`,
		"IdentityFile=${HERE}/key":             `IdentityFile="/a 5%%/\"x\\/${HERE}/key"`,
		"GlobalKnownHostsFile=kh":              `GlobalKnownHostsFile="/a 5%/\"x\\/kh"`,
		`UserKnownHostsFile = "k h" /kh '#k'`:  `UserKnownHostsFile="/a 5%%/\"x\\/k h" /kh "/a 5%%/\"x\\/#k"`,
		"CertificateFile=%dkey":                `CertificateFile="/a 5%%/\"x\\/%dkey"`,
		`"IdentityFile"key`:                    `IdentityFile="/a 5%%/\"x\\/key"`,
		` IdentityFile key`:                    `IdentityFile="/a 5%%/\"x\\/key"`,
		"RevokedHostKeys none":                 "",
		"IdentityFile ~/key":                   "",
		"IdentityFile=%d/key":                  "",
		"UserKnownHostsFile=${SOCK}/kh # kept": "",
		"IdentityAgent SSH_AUTH_SOCK":          "",
		"IdentityAgent $SOCK":                  "",
		"HostName=kh":                          "",
		"IdentityFile":                         "",
		"IdentityFile='key":                    "",
	} {
		if got := RelativeFile(option); got != (want != "") {
			t.Errorf("%s: relative is %v", option, got)
		}
		if want == "" {
			want = option
		}
		got := AbsoluteFiles(option, dir)
		if got != want {
			t.Errorf("%s: %s, want %s", option, got, want)
		}
		if RelativeFile(got) {
			t.Errorf("%s is still relative", got)
		}
	}
	// Whatever the variable names then is not known here.
	if agent := "IdentityAgent=$HERE"; !RelativeFile(agent) || AbsoluteFiles(agent, dir) != agent {
		t.Errorf("%s", AbsoluteFiles(agent, dir))
	}
}
