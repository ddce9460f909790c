package simfleet

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"shoal/simfleet/internal/shell"
)

// Hosts that are no Unix: what they say and how they end follows what is public of Win32-OpenSSH and of the devices.
const (
	FaultWindowsCmd        Fault = "windows-cmd"
	FaultWindowsPowerShell Fault = "windows-powershell"
	FaultCiscoIOS          Fault = "cisco-ios"
	FaultRouterOS          Fault = "routeros"
)

// Systems lists the kinds of hosts that are no Unix, sorted.
func Systems() []Fault { return slices.Sorted(maps.Keys(systems)) }

var systems = map[Fault]behaviour{
	FaultWindowsCmd: {
		doc: "is a Windows server whose login shell is cmd.exe", configure: version("OpenSSH_for_Windows_9.5"), run: lineBy(cmdExe),
	},
	FaultWindowsPowerShell: {
		doc: "is a Windows server whose login shell is PowerShell", configure: version("OpenSSH_for_Windows_9.5"), run: lineBy(powerShell),
	},
	FaultCiscoIOS: {
		doc: "is a switch with a command line of its own, which sends no exit status", configure: version("Cisco-1.25"), run: lineBy(ciscoIOS), end: noExitStatus,
	},
	FaultRouterOS: {
		doc: "is a router with a command line of its own, which always ends with exit status 0", configure: version("ROSSSH"), run: lineBy(routerOS),
	},
}

// version has a host say that its software is another.
func version(software string) func(*conn, *setup) {
	return func(_ *conn, s *setup) { s.config.Version = "SSH-2.0-" + software }
}

// A printed is what a command line prints, with \n for CR LF, and its exit status.
type printed struct {
	stdout, stderr string
	status         uint32
}

// lineBy runs a line by an interpreter that knows a few words.
func lineBy(run func(host, user, line string) printed) func(*session) shell.Exit {
	return func(s *session) shell.Exit {
		p := run(s.entry.Host, s.conn.ssh.User(), strings.TrimSpace(s.entry.Command))
		for w, text := range map[io.Writer]string{s.stdout: p.stdout, s.stderr: p.stderr} {
			if _, err := io.WriteString(w, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
				return shell.Exit{Broken: true}
			}
		}
		return shell.Exit{Status: p.status}
	}
}

// cmdExe is cmd.exe /c: commands after & run in any case, after && if all was well, and nothing else is
// special here.
func cmdExe(host, user, line string) (all printed) {
	for _, part := range strings.Split(strings.ReplaceAll(line, "&&", "&\x00"), "&") {
		only, conditional := strings.CutPrefix(part, "\x00")
		if conditional && all.status != 0 {
			continue
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(only), " ")
		p := printed{}
		switch strings.ToLower(word) {
		case "echo":
			p.stdout = rest + "\n"
		case "hostname":
			p.stdout = host + "\n"
		case "whoami":
			p.stdout = strings.ToLower(host) + `\` + user + "\n"
		case "ver":
			p.stdout = "\nMicrosoft Windows [Version 10.0.20348.2340]\n"
		case "exit":
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(rest, "/b")), 10, 64) // what is no number is 0
			all.status = uint32(n)                                                              //nolint:gosec // exit codes of Windows are 32 bits, written as signed or not
			return all
		default:
			p = printed{stderr: fmt.Sprintf("'%s' is not recognized as an internal or external command,\noperable program or batch file.\n", word), status: 1}
		}
		all = printed{all.stdout + p.stdout, all.stderr + p.stderr, p.status}
	}
	return all
}

// powerShell is powershell.exe -c. Its exit status is 1 if the last command failed, unless the line says exit.
func powerShell(host, user, line string) (all printed) {
	for part := range strings.SplitSeq(line, ";") {
		word, rest, _ := strings.Cut(strings.TrimSpace(part), " ")
		p := printed{}
		switch strings.ToLower(word) {
		case "echo", "write-output":
			p.stdout = strings.Join(strings.Fields(strings.Trim(rest, `'"`)), "\n") + "\n"
			if strings.ContainsAny(rest, `'"`) {
				p.stdout = strings.Trim(rest, `'"`) + "\n"
			}
		case "hostname":
			p.stdout = host + "\n"
		case "whoami":
			p.stdout = strings.ToLower(host) + `\` + user + "\n"
		case "exit":
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64) // what is no number is 0
			all.status = uint32(n)                                    //nolint:gosec // as for cmd.exe
			return all
		default:
			p = printed{stderr: fmt.Sprintf("%[1]s : The term '%[1]s' is not recognized as the name of a cmdlet, function, script file, or operable program.\n", word), status: 1}
		}
		all = printed{all.stdout + p.stdout, all.stderr + p.stderr, p.status}
	}
	return all
}

func ciscoIOS(host, _, line string) printed {
	switch {
	case strings.HasPrefix(line, "show version"):
		return printed{stdout: "\nCisco IOS Software, Version 15.2(7)E4\n" + host + " uptime is 3 weeks, 2 days\n"}
	case strings.HasPrefix(line, "show clock"):
		return printed{stdout: "\n*10:11:12.345 UTC Mon Mar 1 1993\n"}
	}
	return printed{stdout: "\nLine has invalid autocommand \"" + line + "\"\n"}
}

func routerOS(host, _, line string) printed {
	switch {
	case strings.HasPrefix(line, "/system identity print"):
		return printed{stdout: "  name: " + host + "\n"}
	case strings.HasPrefix(line, ":put "):
		return printed{stdout: strings.Trim(strings.TrimPrefix(line, ":put "), `"`) + "\n"}
	}
	word, _, _ := strings.Cut(line, " ")
	return printed{stdout: fmt.Sprintf("bad command name %s (line 1 column 1)\n", word)}
}
