package config

import "fmt"

// fillProxy sets ProxyJump or ProxyCommand, of which at most one is set.
func (r *Resolved) fillProxy() error {
	if command := r.textNotNone(opProxyCommand); command != "" {
		expanded, err := r.tokens.expand(command, tokensProxy, nil)
		if err != nil {
			return r.problem(opProxyCommand, err)
		}
		r.ProxyCommand = expanded
	}
	for _, j := range r.values.jumps() {
		j, err := r.expandJump(j)
		if err != nil {
			return r.problem(opProxyJump, err)
		}
		r.Jumps = append(r.Jumps, j)
	}
	return r.problemIf(opProxyJump, r.checkSelfJump())
}

// expandJump expands tokens in a jump host and checks it by the rules for names that reach a
// shell, as ssh does, which builds a command from them; we do not.
func (r *Resolved) expandJump(j Jump) (Jump, error) {
	var err error
	if j.Host, err = r.tokens.expand(j.Host, tokensProxy, nil); err != nil {
		return j, err
	}
	if err := ValidHostName(j.Host); err != nil {
		return j, err
	}
	if j.User == "" {
		return j, nil
	}
	if j.User, err = r.tokens.expand(j.User, tokensProxy, nil); err != nil {
		return j, err
	}
	return j, ValidUser(j.User)
}

// checkSelfJump refuses a host that is its own last jump host (ssh.c, main).
func (r *Resolved) checkSelfJump() error {
	if len(r.Jumps) == 0 {
		return nil
	}
	last := r.Jumps[len(r.Jumps)-1]
	samePort := last.Port == r.Port || last.Port == 0 && r.Port == 22
	if last.Host == r.HostName && samePort && (last.User == "" || last.User == r.User) {
		return fmt.Errorf("jump host loop by way of %.80q", last.Host)
	}
	return nil
}

// ProxyArgv returns the arguments with which ssh runs ProxyCommand: the user's shell, "-c", and
// the command after "exec " (sshconnect.c, ssh_proxy_connect). It returns nil if there is no
// ProxyCommand. What its tokens stand for was checked: names of hosts and users by OpenSSH's
// rules, and here that the shell expands no variable in the user's name.
func (r *Resolved) ProxyArgv() ([]string, error) {
	if r.ProxyCommand == "" {
		return nil, nil
	}
	if err := r.tokens.checkRemote(r.text(opProxyCommand)); err != nil {
		return nil, r.problem(opProxyCommand, err)
	}
	return []string{r.config.local.shell(), "-c", "exec " + r.ProxyCommand}, nil
}
