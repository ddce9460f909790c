package main

// A tool is one way to run a command on many hosts.
type tool struct {
	// name is the name in the tables; a kex follows in brackets.
	name string
	// kex is the only key exchange that the tool's ssh processes may use; ""
	// means their default. plain is then the name without the kex.
	kex, plain string
	// argv is the command line for a job.
	argv func(job) []string
	// env is added to the environment of all tools.
	env func(job) []string
	// answers parses each host's output lines from the tool's standard output.
	answers func(stdout []byte) answers
	// version is a command line that prints the version: the first word with a
	// digit.
	version []string
	// forks reports whether every host has its own ssh process.
	forks bool
	// needs is an interpreter required on the target; "" means none.
	needs string
}

// base is the tool that all others are compared with.
const base = "shoal"

// toolset returns all tools. Those that fork ssh occur twice: with ssh's
// default key exchange and with curve25519.
func toolset() []tool {
	var all []tool
	for _, t := range kinds() {
		all = append(all, t)
		if t.forks {
			t.name, t.kex, t.plain = t.name+" (curve25519)", curve25519, t.name
			all = append(all, t)
		}
	}
	return all
}

// kinds returns every tool once.
func kinds() []tool {
	return append([]tool{ours()}, append(forking(), programs()...)...)
}

func ours() tool {
	return tool{
		name: base,
		argv: func(j job) []string {
			return []string{
				j.shoal, "run", "--hostfile", j.hostsFile, "-l", j.user, "-p", itoa(j.port),
				"--known-hosts", j.knownHosts, "--identity", j.key, "--no-agent", j.command,
			}
		},
		answers: prefixed(": "),
		version: []string{"shoal", "--version"},
	}
}
