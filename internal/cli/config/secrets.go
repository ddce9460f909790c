package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A file of another user may say how this shoal looks and whom it asks, but neither start
// programs here nor decide whom to trust, nor have files here written, or sent to hosts that it names.
var filing = []string{
	"password-file", "become-password-file", "env-secret", "stdin-from",
	"outdir", "metrics", "state-dir", "save", "log", "output",
}

var trusting = []string{
	"hosts-from", "inventory", "option", "config", "check", "on-change", "on-end", "script",
	"host-key", "known-hosts", "forward-agent", "allow-signers", "hostfile", "cluster", "nats-ca",
}

var secretWords = []string{"password", "passwd", "passphrase", "secret", "token", "credential", "private_key", "api_key", "apikey"}

func secretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(name, w) })
}

// secretKey reports whether a key is for a secret value, with what to do instead.
func secretKey(name string, flag bool) (why string, ok bool) {
	switch {
	case flag || !secretName(name):
		return "", false
	case strings.Contains(name, "become"):
		return quote(name) + ": a configuration has no secrets; become-password-file names a file that only you can read, and ask-become-pass asks", true
	case strings.Contains(name, "pass"):
		return quote(name) + ": a configuration has no secrets; password-file names a file that only you can read, and ask-pass asks", true
	}
	return quote(name) + ": a configuration has no secrets; env-secret names a variable, or a file that only you can read", true
}

// allowed returns an error for values that are secret, or that this file may not decide.
func (c *checker) allowed(name string, texts []string) error {
	if c.file.foreign && slices.Contains(trusting, name) {
		return fmt.Errorf("%s may start programs here, or decides whom to trust: only a file of yours or of root sets it", name)
	}
	if c.file.foreign && slices.Contains(filing, name) {
		return fmt.Errorf("%s has a file here written, or sent to hosts: only a file of yours or of root sets it", name)
	}
	for _, text := range texts {
		switch name {
		case "hosts", "exclude":
			if c.file.foreign && strings.HasPrefix(text, "^") {
				return fmt.Errorf("%s names a file of hosts, as hostfile does: only a file of yours or of root sets it", name)
			}
		case "env":
			if variable, value, _ := strings.Cut(text, "="); value != "" && secretName(variable) {
				return fmt.Errorf("the variable %s looks like a secret, and a configuration has none: env-secret names it, or a file", quote(variable))
			}
		case "cluster":
			for part := range strings.SplitSeq(text, ",") {
				if u, err := url.Parse(strings.TrimSpace(part)); err == nil && u.User != nil {
					return errors.New("cluster has a user or password, and a configuration has no secrets: nats-creds names a file")
				}
			}
		}
	}
	return nil
}
