package main

// A tool is one way to run a command on many hosts.
type tool struct {
	// name is that in the tables; a tool with a kex has it in brackets.
	name string
	// kex is the only key exchange that its ssh processes may use; "" means
	// theirs to choose. plain is then the name of the tool without it.
	kex, plain string
	// argv is the command line for a job.
	argv func(job) []string
	// env is added to the environment that all tools get.
	env func(job) []string
	// answers finds each host's output lines in the tool's standard output.
	answers func(stdout []byte) answers
	// version is a command line that prints the version; its last word that
	// has a digit is taken.
	version []string
	// forks says that every host is an ssh process of its own.
	forks bool
	// needs is an interpreter that has to be on the target; "" means none.
	needs string
}

// base is the name of the tool that every other one is compared with.
const base = "shoal"

// toolset gives every tool, the ones that fork ssh twice: with its default key
// exchange and with curve25519.
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

// kinds gives every tool once.
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
