package main

import "strconv"

func itoa(port uint16) string { return strconv.Itoa(int(port)) }

// forking returns the tools that start an ssh process for each host. One
// ssh_config gives ssh the port, the key and known_hosts for all of them.
func forking() []tool {
	return []tool{
		{
			name: "ssh, xargs -P",
			argv: func(j job) []string {
				return []string{
					"xargs", "-a", j.hostsFile, "-P", strconv.Itoa(j.fanout), "-I", "{}",
					"ssh", "-F", j.sshConfig, "{}", j.command,
				}
			},
			answers: bare,
			version: []string{"ssh", "-V"},
			forks:   true,
		},
		{
			name: "pssh",
			argv: func(j job) []string {
				return []string{
					"parallel-ssh", "-h", j.hostsFile, "-p", strconv.Itoa(j.fanout), "-i",
					"-x", "-F " + j.sshConfig, j.command,
				}
			},
			answers: blocks,
			version: []string{"parallel-ssh", "--version"},
			forks:   true,
		},
		{
			name: "pdsh",
			argv: func(j job) []string {
				return []string{
					"pdsh", "-R", "ssh", "-l", j.user, "-f", strconv.Itoa(j.fanout),
					"-w", "^" + j.hostsFile, j.command,
				}
			},
			env:     func(j job) []string { return []string{"PDSH_SSH_ARGS_APPEND=-F " + j.sshConfig} },
			answers: prefixed(": "),
			version: []string{"pdsh", "-V"},
			forks:   true,
		},
		{
			name: "clush",
			argv: func(j job) []string {
				return []string{
					"clush", "--nostdin", "-f", strconv.Itoa(j.fanout), "--hostfile", j.hostsFile,
					"-o", "-F " + j.sshConfig, j.command,
				}
			},
			answers: prefixed(": "),
			version: []string{"clush", "--version"},
			forks:   true,
		},
		{
			name: "GNU parallel, ssh",
			argv: func(j job) []string {
				return []string{
					"parallel", "-j", strconv.Itoa(j.fanout), "--tag", "-q", "-a", j.hostsFile,
					"ssh", "-n", "-F", j.sshConfig, "{}", j.command,
				}
			},
			answers: prefixed("\t"),
			version: []string{"parallel", "--version"},
			forks:   true,
		},
		{
			name: "taktuk",
			argv: func(j job) []string {
				return []string{
					// An option applies to the hosts named after it.
					"taktuk", "-o", `output="$host: $line\n"`, "-o", "status",
					"-s", "-d", "-1", "-w", strconv.Itoa(j.fanout),
					"-c", "ssh -F " + j.sshConfig, "-f", j.hostsFile,
					"broadcast", "exec", "[", j.command, "]",
				}
			},
			answers: prefixed(": "),
			version: []string{"taktuk", "--version"},
			forks:   true,
			needs:   "perl",
		},
		ansible("ansible -m raw", "", func(j job) []string { return []string{"-m", "raw", "-a", j.command} }),
		ansible("ansible -m command", "python3", func(j job) []string { return []string{"-m", "command", "-a", j.template} }),
	}
}

// copying returns the tools that only copy files.
func copying() []tool {
	return []tool{
		{
			name: "pscp",
			push: func(j job) []string {
				return []string{"parallel-scp", "-h", j.hostsFile, "-p", strconv.Itoa(j.fanout), "-x", "-F " + j.sshConfig, j.file, j.dest}
			},
			version: []string{"parallel-scp", "--version"},
			forks:   true,
		},
		{
			name: "clush --copy",
			push: func(j job) []string {
				return []string{
					"clush", "--nostdin", "-f", strconv.Itoa(j.fanout), "--hostfile", j.hostsFile,
					"-o", "-F " + j.sshConfig, "--copy", j.file, "--dest", j.dest,
				}
			},
			version: []string{"clush", "--version"},
			forks:   true,
		},
		copies(ansible("ansible -m copy", "python3", func(j job) []string { return []string{"-m", "copy", "-a", "src=" + j.file + " dest=" + j.dest} })),
		{
			name: onlyHost,
			push: func(j job) []string {
				return []string{"scp", "-q", "-F", j.sshConfig, j.file, j.hosts[0] + ":" + j.dest}
			},
			version: []string{"ssh", "-V"},
		},
	}
}

// onlyHost is the tool that copies to one host.
const onlyHost = "scp"

// copies makes a tool's command line one that copies.
func copies(t tool) tool {
	t.push, t.argv = t.argv, nil
	return t
}

// ansible returns a tool for one of Ansible's modules, with more forks and
// pipelining.
func ansible(name, needs string, module func(job) []string) tool {
	return tool{
		name: name,
		argv: func(j job) []string {
			return append([]string{
				"ansible", "all", "-i", j.hostsFile, "-f", strconv.Itoa(j.fanout), "-o",
				"--ssh-common-args", "-F " + j.sshConfig,
				"-e", "ansible_python_interpreter=/usr/bin/python3",
			}, module(j)...)
		},
		env: func(job) []string {
			// A terminal on the host would be work that other tools do not do.
			return []string{"ANSIBLE_PIPELINING=True", "ANSIBLE_SSH_USETTY=False"}
		},
		answers: oneLine,
		version: []string{"ansible", "--version"},
		forks:   true,
		needs:   needs,
	}
}
