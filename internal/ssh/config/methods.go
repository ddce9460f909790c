package config

import (
	"fmt"
	"slices"
)

// AuthMethods returns the methods to try of publickey, password and keyboard-interactive, in the
// order of trying; nil if the configuration says nothing about them. It is an error if none is
// left. Methods that are not offered here, such as gssapi-with-mic, are left out.
//
// A password is sent at most once, so that NumberOfPasswordPrompts matters only if it is 0.
func (r *Resolved) AuthMethods() ([]string, error) {
	order := []string{"publickey", "password", "keyboard-interactive"}
	if r.PreferredAuthentications != nil {
		order = r.PreferredAuthentications
	}
	asks := !r.BatchMode && r.NumberOfPasswordPrompts > 0
	allowed := map[string]bool{
		"publickey":            r.PubkeyAuthentication,
		"password":             r.PasswordAuthentication && asks,
		"keyboard-interactive": r.KbdInteractiveAuthentication && asks,
	}
	methods := []string{}
	for _, m := range order {
		if allowed[m] && !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	switch {
	case len(methods) == 0 && r.PreferredAuthentications != nil:
		return nil, r.problem(opPreferredAuthentications, fmt.Errorf("no method is left that is offered here"))
	case len(methods) == 0:
		return nil, r.problem(opPubkeyAuthentication, fmt.Errorf("no authentication method is left"))
	case len(methods) == len(order) && r.PreferredAuthentications == nil:
		return nil, nil
	}
	return methods, nil
}
