package config

import (
	"errors"
	"fmt"
	"strings"
)

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

var errNeedsShell = errors.New("needs a shell\nhint: write the command without pipes, redirections, variables and wildcards, " +
	"or put it into a script")

// ProxyArgv returns ProxyCommand as the words of a command that is run without a shell. It
// splits the words by a shell's rules before it expands the tokens in each, so that no host
// name can become anything else. A leading word "exec" is removed. It returns nil if there is
// no ProxyCommand, and an error if the command needs a shell.
func (r *Resolved) ProxyArgv() ([]string, error) {
	command := r.textNotNone(opProxyCommand)
	if command == "" {
		return nil, nil
	}
	words, err := shellWords(command)
	if err == nil && len(words) > 1 && words[0] == "exec" {
		words = words[1:]
	}
	if err == nil && len(words) == 0 {
		err = errors.New("no command")
	}
	for i := 0; i < len(words) && err == nil; i++ {
		words[i], err = r.tokens.expand(words[i], tokensProxy, nil)
	}
	if err != nil {
		return nil, r.problem(opProxyCommand, err)
	}
	return words, nil
}

// shellWords splits a command and removes quotes as a POSIX shell does (POSIX.1 XCU 2.2, 2.3).
// Everything else that is special to a shell is an error.
func shellWords(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	inWord := false
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'' && c != '\'':
			b.WriteByte(c)
		case quote == '"' && c != '"' && c != '\\' && c != '$' && c != '`':
			b.WriteByte(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && i+1 < len(s):
			i++
			if quote == '"' && strings.IndexByte("\"\\$`", s[i]) < 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
			inWord = true
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, b.String())
				b.Reset()
			}
			inWord = false
		case actsInShell(c, inWord || b.Len() > 0) || quote != 0:
			return nil, errNeedsShell
		case c == '=' && len(words) == 0:
			return nil, errNeedsShell // an assignment before the command
		default:
			b.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errOpenQuote
	}
	if inWord {
		words = append(words, b.String())
	}
	return words, nil
}

// actsInShell reports whether an unquoted byte is special to a shell.
func actsInShell(c byte, inWord bool) bool {
	if !inWord && (c == '#' || c == '~' || c == '!') {
		return true
	}
	return strings.IndexByte("|&;<>()$`*?[{\\\n", c) >= 0
}
