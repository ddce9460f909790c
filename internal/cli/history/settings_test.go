package history

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"shoal/internal/cli/flags"
	clirun "shoal/internal/cli/run"
	"shoal/internal/connect"
	"shoal/internal/journal"
)

// The settings kept with a run are those that were given and differ from the
// default, with absolute paths. Without the command's text, no other setting
// reveals it either.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("list", []byte("web1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := func(noCommand bool, args ...string) *journal.Settings {
		t.Helper()
		var f clirun.RunFlags
		cmd := &cobra.Command{}
		f.Register(cmd)
		if err := cmd.ParseFlags(append([]string{"-F", "none", "--hostfile", "list"}, args...)); err != nil {
			t.Fatal(err)
		}
		s, err := clirun.SettingsOf(f.Given, f.KeptNames, &f.HostFlags, &connect.Options{SSHConfig: "none"}, noCommand)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	args := []string{
		"-J", "a,b", "--known-hosts", "kh", "--known-hosts", "/etc/kh", "--forks", "7", "--rate", "2.5", "--no-agent", "-t", "90",
		"--max-output", "64K", "--max-fail", "2%", "--attempts", "3", "--check", "secret --of=run", "-o", "SetEnv A=b", "-o", " setenv=A=b", "-o", "Port=7",
		"--canary", "web1", "-b", "--state-dir", "/state", "--once",
		"--env", "A=b c", "--env", "B=\xff", "--chdir", "/srv", "--umask", "027", "--stdin",
	}
	got := settings(false, args...)
	want := map[string][]string{
		"config": {"none"}, "jump": {"a,b"}, "known-hosts": {filepath.Join(dir, "kh"), "/etc/kh"}, "fanout": {"7"}, "rate": {"2.5"},
		"no-agent": {"true"}, "connect-timeout": {"1m30s"}, "max-output": {"64K"}, "max-fail": {"2%"},
		"check": {"secret --of=run"}, "option": {"SetEnv A=b", " setenv=A=b", "Port=7"}, "canary": {"web1"},
		"env": {"A=b c", "B=\xff"}, "chdir": {"/srv"}, "umask": {"027"}, "stdin": {"true"},
	}
	if diff := cmp.Diff(want, got.Flags); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if text := clirun.SettingsText(got); strings.Contains(text, "b c") || !strings.Contains(text, " --env=A=… --env=B=… ") {
		t.Errorf("printed: %s", text)
	}
	if len(got.Files) != 1 || got.Files[0].Path != filepath.Join(dir, "list") || len(got.Files[0].Digest) != 64 || got.Directory != dir {
		t.Errorf("%+v", got)
	}
	delete(want, "check")
	delete(want, "env")
	env := got.Flags["env"]
	want["option"] = []string{"Port=7"}
	if diff := cmp.Diff(want, settings(true, args...).Flags); diff != "" {
		t.Errorf("flags without the command (-want +got):\n%s", diff)
	}

	var again againFlags
	cmd := &cobra.Command{}
	again.register(cmd, flags.NewGroup("Own"))
	if err := cmd.ParseFlags([]string{"--rate", "1", "--known-hosts", "kh", "--password-file", "pw"}); err != nil {
		t.Fatal(err)
	}
	got.Flags["ask-pass"] = []string{"true"}
	var said strings.Builder
	r, err := clirun.RecallSettings(&journal.RunInfo{Settings: got}, cmd.Flags(), true, &said)
	if err != nil || again.Rate != 1 || again.Jump != "a,b" || again.Fanout != 7 || again.AskPass || again.InputSent() || again.Wrapper.Chdir != "/srv" || !slices.Equal(again.Wrapper.Env, env) || !r.Now["rate"] || r.Now["jump"] {
		t.Errorf("%v %+v", err, again)
	}
	if want := "shoal: given now, and not as the run had it: --password-file, --known-hosts, --rate\n"; said.String() != want {
		t.Errorf("said %q, want %q", said.String(), want)
	}
	got.Flags["from-the-future"] = []string{"1"}
	if _, err := clirun.RecallSettings(&journal.RunInfo{Settings: got}, cmd.Flags(), true, &said); err == nil {
		t.Error("a flag that is not known is passed over")
	}
}

// What the configuration said of the way from this machine was not for the workers of a run: those that go
// on with it do not refuse it, as the run did not.
func TestSettingsOfWorkers(t *testing.T) {
	for _, c := range []struct {
		typed   []string
		refused bool
	}{
		{nil, false},
		{[]string{"--cluster", "nats://127.0.0.1:4223"}, false},
		{[]string{"--cluster", ""}, false},
		{[]string{"--identity", "other"}, true},
	} {
		var again againFlags
		cmd := &cobra.Command{}
		again.register(cmd, flags.NewGroup("Own"))
		if err := cmd.ParseFlags(c.typed); err != nil {
			t.Fatal(err)
		}
		s := &journal.Settings{Directory: "/elsewhere", Flags: map[string][]string{
			"cluster": {"nats://127.0.0.1:4222"}, "sign-key": {"/k"}, "identity": {"/key"}, "option": {"RequestTTY=yes"}, "attempts": {"7"},
		}}
		if _, err := clirun.RecallSettings(&journal.RunInfo{Settings: s}, cmd.Flags(), true, new(strings.Builder)); err != nil {
			t.Fatal(err)
		}
		if err := again.cluster.Validate(cmd.Flags(), "", 0); (err != nil) != c.refused {
			t.Errorf("%q: %v", c.typed, err)
		}
		kept, err := clirun.SettingsOf(cmd.Flags(), again.keptNames, &again.HostFlags, &connect.Options{SSHConfig: "none"}, false)
		if err != nil || len(again.Identities) != 1 || !slices.Equal(again.SshOptions, []string{"RequestTTY=yes"}) || len(kept.Flags["option"]) != 1 || kept.Flags["attempts"][0] != "7" {
			t.Errorf("%q: identities %q, options %q, kept %v, %v", c.typed, again.Identities, again.SshOptions, kept, err)
		}
	}
}

// ssh_config options name files relative to the working directory. In another
// directory a run would use other keys and known hosts.
func TestSettingsElsewhere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("SOCK", "/run/agent")
	t.Setenv("HERE", "agent")
	for option, refused := range map[string]bool{
		"UserKnownHostsFile=kh": true, " userknownhostsfile /etc/kh \"kh\"": true, "IdentityFile key": true, "RevokedHostKeys=kh": true,
		"UserKnownHostsFile=/etc/kh": false, "UserKnownHostsFile=none": false, "IdentityFile ~/key": false, "IdentityFile=%d/key": false,
		"IdentityAgent=SSH_AUTH_SOCK": false, "IdentityAgent $SOCK": false, "HostName=kh": false, "IdentityFile": false,
		"IdentityAgent $HERE": true, "IdentityAgent $UNSET_VARIABLE": true, "UserKnownHostsFile=%u/kh": true, "IdentityFile=%h.key": true,
		"IdentityFile=%%d/key": true, "IdentityFile=%dkey": true, "UserKnownHostsFile=${SOCK}/kh": false, "UserKnownHostsFile=${HERE}/kh": true,
	} {
		for _, there := range []bool{true, false} {
			var again againFlags
			cmd := &cobra.Command{}
			again.register(cmd, flags.NewGroup("Own"))
			s := &journal.Settings{Directory: dir, Flags: map[string][]string{"option": {"Port=7", option}}}
			if !there {
				s.Directory = "/elsewhere"
			}
			_, err := clirun.RecallSettings(&journal.RunInfo{Settings: s}, cmd.Flags(), true, new(strings.Builder))
			if got, want := err != nil, refused && !there; got != want {
				t.Errorf("%q, in the same directory %v: %v", option, there, err)
			}
		}
	}
}
